"""The choice of the attention kernel: a wrong kernel is disabled with a message, and other modules keep theirs."""

import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers.models import attention_dispatch
from diffusers.models.attention_dispatch import AttentionBackendName, _AttentionBackendRegistry

from fantasyportrait.core.errors import RequestError
from fantasyportrait.runtime import attention
from fantasyportrait.runtime.attention import AttentionChoice, select_attention, set_attention_backend
from tests.models.factories import tiny_inputs, tiny_labels, tiny_motion, tiny_transformer
from tests.models.test_motion_attention import key_mask

CPU, FLOAT = torch.device("cpu"), torch.float32
Change = Callable[[torch.Tensor, dict[str, Any]], torch.Tensor]
Install = Callable[..., None]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Register a fake kernel with diffusers: native attention with changed output and simulated time."""
    now_s = [0.0]
    monkeypatch.setattr(attention, "time", SimpleNamespace(perf_counter=lambda: now_s[0]))
    native = _AttentionBackendRegistry._backends[AttentionBackendName.NATIVE]

    def put(name: AttentionBackendName, change: Change = lambda out, given: out, delay_s: float = 0.0) -> None:
        def kernel(**given: Any) -> torch.Tensor:
            now_s[0] += delay_s
            shapes = ("query", "key", "value")
            return change(native(**{each: given[each] for each in shapes}), given)

        monkeypatch.setitem(_AttentionBackendRegistry._backends, name, kernel)
        for flag in ("_CAN_USE_FLASH_ATTN", "_CAN_USE_SAGE_ATTN"):
            monkeypatch.setattr(attention_dispatch, flag, True)

    return put


def choose(wanted: str, compiler: str | None = None, context_parallel: bool = False) -> AttentionChoice:
    return select_attention(
        wanted, CPU, FLOAT, heads=4, head_dim=16, compiler=compiler, context_parallel=context_parallel
    )


def test_correct_installed_attention_kernel_is_used(install: Install) -> None:
    assert choose("native") == AttentionChoice("native")
    install(AttentionBackendName.FLASH)
    assert choose("flash") == choose("flash", context_parallel=True) == AttentionChoice("flash")


def _forgets_the_last_key(out: torch.Tensor, given: dict[str, Any]) -> torch.Tensor:
    query, key, value = (given[name].transpose(1, 2) for name in ("query", "key", "value"))
    short = torch.nn.functional.scaled_dot_product_attention(query, key[:, :, :-1], value[:, :, :-1])
    return short.transpose(1, 2)


def _leaves_a_broken_tile(out: torch.Tensor, given: dict[str, Any]) -> torch.Tensor:
    out = out.clone()
    out[:, out.shape[1] // 64 * 64 :] = 0
    return out


def _fails(out: torch.Tensor, given: dict[str, Any]) -> torch.Tensor:
    raise ValueError("no kernel image for this GPU\nand more of it")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (_forgets_the_last_key, "wrong results on this machine"),
        (_leaves_a_broken_tile, "wrong results on this machine"),
        (lambda out, given: out * float("nan"), "off by inf"),
        (lambda out, given: out[:, :-1], "off by inf"),
        (_fails, r"ValueError: no kernel image for this GPU\): native"),
    ],
    ids=["last key", "last tile", "nan", "shape", "raises"],
)
@pytest.mark.parametrize("name", [AttentionBackendName.FLASH, AttentionBackendName.SAGE])
def test_incorrect_attention_kernel_is_disabled_and_reported(
    install: Install, caplog: pytest.LogCaptureFixture, change: Change, why: str, name: AttentionBackendName
) -> None:
    """Also with the wider tolerance for kernels that round to 8 bits."""
    install(name, change)
    caplog.set_level("INFO", "fantasyportrait.runtime.attention")
    choice = choose(name.value)
    assert choice.backend == "native"
    (message,) = choice.messages
    assert re.search(why, message), message
    assert caplog.messages == [message]


def test_8_bit_error_is_accepted_for_sage_only(install: Install) -> None:
    def rounded(out: torch.Tensor, given: dict[str, Any]) -> torch.Tensor:
        step = out.abs().amax(dim=-1, keepdim=True) / 127
        return (out / step).round() * step

    install(AttentionBackendName.SAGE, rounded)
    install(AttentionBackendName.FLASH, rounded)
    assert choose("sage") == AttentionChoice("sage")
    assert choose("flash").backend == "native"


@pytest.mark.parametrize("name", ["flash", "flash3", "sage"])
def test_missing_attention_kernel_is_refused_by_name(name: str) -> None:
    with pytest.raises(RequestError, match=f"attention is '{name}', which needs .* install it, or choose native"):
        choose(name)


def test_flex_attention_requires_compile() -> None:
    assert choose("flex", compiler="eager") == AttentionChoice("flex")
    with pytest.raises(RequestError, match="add --compile"):
        choose("flex")
    with pytest.raises(RequestError, match="choose flash, sage or native"):
        choose("flex", compiler="eager", context_parallel=True)


def test_auto_chooses_fastest_exact_kernel(install: Install) -> None:
    assert choose("auto").messages == ("attention is computed by native (not installed: flash3, flash)",)
    install(AttentionBackendName.SAGE)
    install(AttentionBackendName.FLASH, delay_s=0.05)
    assert choose("auto").backend == "native"
    install(AttentionBackendName.NATIVE, delay_s=0.05)
    install(AttentionBackendName.FLASH)
    assert choose("auto").backend == "flash"
    install(AttentionBackendName.FLASH, _forgets_the_last_key)
    choice = choose("auto")
    assert choice.backend == "native" and choice.messages[0].startswith("attention flash is not used: it gives wrong")


@pytest.mark.parametrize(("flash_s", "name"), [(0.96, "native"), (0.94, "flash")])
def test_auto_keeps_native_without_clear_gain(
    install: Install, monkeypatch: pytest.MonkeyPatch, flash_s: float, name: str
) -> None:
    install(AttentionBackendName.FLASH)
    times = iter([1.0, flash_s])
    monkeypatch.setattr(attention, "_time_s", lambda *_: next(times))
    assert choose("auto").name == name


@pytest.mark.parametrize("backend", ["flex", "_native_math"])
def test_kernel_applies_to_transformer_not_motion_branch(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        **tiny_inputs(),
        "motion_hidden_states": tiny_motion(2),
        "motion_attention_mask": key_mask(tiny_labels(2), [1, 2]),
    }
    model, other = tiny_transformer(), tiny_transformer()
    with torch.no_grad():
        expected = model(**given).sample
    before = _AttentionBackendRegistry.get_active_backend()
    set_attention_backend(model, AttentionChoice(backend))
    assert _AttentionBackendRegistry.get_active_backend() == before
    assert {block.attn1.processor._attention_backend for block in other.blocks} == {None}
    ran = []
    for name, kernel in list(_AttentionBackendRegistry._backends.items()):

        def seen(*args: Any, name: str = name.value, kernel: Any = kernel, **kwargs: Any) -> torch.Tensor:
            ran.append((name, kwargs["attn_mask"] is not None))
            return kernel(*args, **kwargs)

        monkeypatch.setitem(_AttentionBackendRegistry._backends, name, seen)
    with torch.no_grad():
        torch.testing.assert_close(model(**given).sample, expected, atol=1e-5, rtol=1e-5)
        assert set(ran) == {(backend, False), ("native", True)}
        ran.clear()
        assert torch.equal(other(**given).sample, expected)
    assert {name for name, _ in ran} == {"native"}
