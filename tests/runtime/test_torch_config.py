"""Torch's global settings and compiled blocks: supported and refused combinations."""

import itertools
from collections.abc import Callable, Iterator, Sequence

import pytest
import torch
from diffusers import FirstBlockCacheConfig
from diffusers.hooks import apply_group_offloading
from peft import LoraConfig
from torch import _dynamo as dynamo
from torch._dynamo.utils import counters

from fantasyportrait.core.errors import RequestError
from fantasyportrait.models.transformer import FantasyPortraitTransformer3DModel
from fantasyportrait.runtime import torch_config
from fantasyportrait.runtime.attention import AttentionChoice, set_attention_backend
from fantasyportrait.runtime.profiles import PROFILES, get_profile
from fantasyportrait.runtime.torch_config import check_compile, compile_blocks, torch_settings
from tests.models.factories import IMAGE_DIM, MOTION_DIM, TEXT_DIM, tiny_inputs, tiny_labels, tiny_motion
from tests.models.test_motion_attention import key_mask

Model = FantasyPortraitTransformer3DModel
CPU, GPU = torch.device("cpu"), torch.device("meta")
LAYERS = 4


def settings() -> list[object]:
    products = torch.backends.cuda.matmul
    return [
        products.fp32_precision,
        products.allow_tf32,
        torch.get_float32_matmul_precision(),
        torch.backends.mkldnn.matmul.fp32_precision,
        torch.backends.cudnn.benchmark,
        dynamo.config.recompile_limit,
    ]


def test_torch_settings_are_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    before = settings()
    with pytest.raises(KeyError), torch_settings(GPU, compiled=True):
        inside = settings()
        raise KeyError
    assert inside == ["tf32", True, "high", "tf32", False, 64] and settings() == before
    with torch_settings(CPU):
        assert settings() == before


def test_torch_settings_keep_user_values() -> None:
    products = torch.backends.cuda.matmul
    before = products.fp32_precision
    products.fp32_precision = "tf32"
    try:
        with torch_settings(GPU):
            assert products.fp32_precision == "tf32"
        assert products.fp32_precision == "tf32"
    finally:
        products.fp32_precision = before


@pytest.fixture
def fresh() -> Iterator[None]:
    """Reset dynamo, so that no graph of another test is left."""
    dynamo.reset()
    counters.clear()
    yield
    dynamo.reset()


def model() -> Model:
    """Four blocks: more than the graphs that are compiled."""
    torch.manual_seed(0)
    return Model(
        num_attention_heads=4, attention_head_dim=16, text_dim=TEXT_DIM, freq_dim=32, ffn_dim=128, num_layers=LAYERS,
        image_dim=IMAGE_DIM, added_kv_proj_dim=64, motion_dim=MOTION_DIM,
    ).eval()  # fmt: skip


@torch.no_grad()
def outputs(made: Model) -> list[torch.Tensor]:
    """A pass with masked motion, one without, and both as a batch."""
    motion = {"motion_attention_mask": key_mask(tiny_labels(2), [1, 2])}
    with made.cache_context("a"):
        with_motion = made(**tiny_inputs(), motion_hidden_states=tiny_motion(2), **motion).sample
    with made.cache_context("b"):
        without = made(**tiny_inputs()).sample
    with made.cache_context("c"):
        tokens = tiny_motion(2).expand(2, -1, -1, -1)
        both = made(**tiny_inputs(2), motion_hidden_states=tokens, motion_scale=torch.tensor([1.0, 0.0]), **motion)
    return [with_motion, without, both.sample]


def _offload(made: Model) -> None:
    apply_group_offloading(made, onload_device=CPU, offload_type="block_level", num_blocks_per_group=1)


def _lora(made: Model) -> None:
    torch.manual_seed(1)
    made.add_adapter(LoraConfig(r=2, target_modules=["to_q", "to_v_motion"], init_lora_weights=False))


def _cache(made: Model) -> None:
    made.enable_cache(FirstBlockCacheConfig(threshold=1e-6))


def _flex(made: Model) -> None:
    set_attention_backend(made, AttentionChoice("flex"))


@pytest.mark.parametrize("added", [(_offload, _cache), (_lora, _flex)], ids=["around", "inside"])
@pytest.mark.usefixtures("fresh")
def test_compiled_blocks_equal_eager(added: Sequence[Callable[[Model], None]]) -> None:
    """One graph for all blocks and each kind of pass, also with offload, LoRA or step cache."""
    plain, compiled = model(), model()
    compile_blocks(compiled, "eager")
    for each, add in itertools.product((plain, compiled), added):
        add(each)
    expected = outputs(plain)
    counters.clear()
    for result, other in zip(outputs(compiled), expected, strict=True):
        torch.testing.assert_close(result, other, atol=1e-5, rtol=1e-5)
    assert counters["stats"]["unique_graphs"] == 3


@pytest.mark.usefixtures("fresh")
def test_compile_handles_many_shapes() -> None:
    """Dynamo ends in an error after 8 kinds of pass and shape, here after 1 for the sake of time."""
    made = model()
    compile_blocks(made, "eager")
    with dynamo.config.patch(recompile_limit=1):
        with torch_settings(CPU, compiled=True):
            outputs(made)
        dynamo.reset()
        with pytest.raises(dynamo.exc.FailOnRecompileLimitHit):
            outputs(made)


def test_compile_refuses_unsupported_settings() -> None:
    made = model()
    _offload(made)
    with pytest.raises(RequestError, match="has hooks already"):
        compile_blocks(made)
    refused = [profile.name for profile in PROFILES if _refused(profile.name)]
    assert refused == ["fp8", "nf4", "gguf-q8", "gguf-q4", "sequential"]


def _refused(name: str) -> bool:
    try:
        check_compile(get_profile(name), CPU)
    except RequestError as error:
        assert f"profile {name}," in str(error)
        return True
    return False


def test_compile_on_gpu_requires_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    for there in (True, False):
        monkeypatch.setattr(torch_config, "has_triton", lambda there=there: there)
        check_compile(get_profile("resident"), CPU)
        if there:
            check_compile(get_profile("resident"), GPU)
    with pytest.raises(RequestError, match="--compile needs the package triton"):
        check_compile(get_profile("resident"), GPU)
    with pytest.raises(RequestError, match="unpacked from a file's blocks"):
        check_compile(get_profile("resident"), CPU, gguf=True)


@pytest.mark.usefixtures("fresh")
def test_layerwise_cast_layers_fail_to_compile() -> None:
    """The reason why fp8 is refused; if this test fails, it can be allowed."""
    made = model()
    compile_blocks(made, "eager")
    made.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=torch.float32)
    with pytest.raises(dynamo.exc.Unsupported):
        outputs(made)
