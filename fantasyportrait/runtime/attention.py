"""The attention kernel: torch's own, or an installed one whose results are verified on this machine.

Every candidate is compared with a reference on small tensors before it is used.
"""

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from diffusers import ModelMixin
from diffusers.models.attention_dispatch import attention_backend, dispatch_attention_fn

from fantasyportrait.core.errors import RequestError
from fantasyportrait.core.sentences import Sentence
from fantasyportrait.runtime.runtime_config import Attention

AttentionFn = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]

# (queries, keys): self-attention with whole and with partial tiles (kernels use 64 or 128), and the two
# cross-attentions, text and image.
_TRIALS = ((256, 256), (333, 333), (200, 512), (130, 257))
# Tokens of the benchmark: a quarter of 480 x 832 x 81 on a GPU.
_BENCHMARK_TOKENS, _BENCHMARK_TOKENS_CPU, _BENCHMARK_RUNS = 8192, 512, 3
# A kernel must take at most this share of native's time, since two runs of one kernel differ by some percent.
_MAX_TIME_SHARE = 0.95


@dataclass(frozen=True)
class AttentionKernel:
    """One way to compute attention.

    Attributes:
        name: its name in the runtime config.
        backend: its name in diffusers.
        package: the package to install for it.
        tolerance: largest accepted error of a row (one head of a token), relative to the row's norm; None: four times
            the dtype's epsilon, but at least 4e-3, the error of TF32.
        context_parallel: whether diffusers supports it with context parallelism.
        compiled: whether it is a fused kernel only in compiled code; elsewhere it keeps all scores in memory.
    """

    name: Attention
    backend: str
    package: str
    tolerance: float | None = None
    context_parallel: bool = True
    compiled: bool = False


NATIVE = AttentionKernel("native", "native", "torch")
# Sage rounds queries and keys to 8 bits, so it is used only if it is named.
SAGE = AttentionKernel("sage", "sage", "sageattention 2.1.1 or newer", tolerance=0.1)
EXACT_KERNELS = (
    AttentionKernel("flash3", "_flash_3", "flash-attn 3, built from its source", context_parallel=False),
    AttentionKernel("flash", "flash", "flash-attn 2.6.3 or newer"),
    AttentionKernel("flex", "flex", "torch 2.5 or newer", context_parallel=False, compiled=True),
)


@dataclass(frozen=True)
class AttentionChoice:
    """The diffusers backend of a kernel that works on this machine, and notes on the choice for the user."""

    backend: str
    messages: tuple[str, ...] = ()

    @property
    def name(self) -> Attention:
        """The kernel's name in the runtime config."""
        return next(each.name for each in (NATIVE, SAGE, *EXACT_KERNELS) if each.backend == self.backend)


class _KernelUnusable(Exception):
    """Why a kernel cannot be used; `missing` if its package is not installed."""

    def __init__(self, why: str, missing: bool = False) -> None:
        super().__init__(why)
        self.missing = missing


def select_attention(
    wanted: str,
    device: torch.device,
    dtype: torch.dtype,
    heads: int = 40,
    head_dim: int = 128,
    compiler: str | None = None,
    context_parallel: bool = False,
) -> AttentionChoice:
    """The kernel to use on this machine.

    A kernel that fails or gives wrong results is not used, which the log and the messages say. With auto, a kernel that
    is hardly faster than native is not used either.

    Args:
        wanted: a name of `RuntimeConfig.attention`; auto times the exact kernels and takes the fastest.
        device, dtype: device and dtype of the transformer's computation.
        heads, head_dim: attention heads of the transformer, and their width.
        compiler: torch's name of the compiler if the transformer is compiled; flex requires it.
        context_parallel: whether processes share the tokens of a pass.

    Raises:
        RequestError: the named kernel is not installed, or does not support the other settings.
    """
    if wanted == "native":
        return AttentionChoice(NATIVE.backend)
    if wanted == "auto":
        return _fastest(device, dtype, (heads, head_dim), compiler, context_parallel)
    kernel = next(each for each in (*EXACT_KERNELS, SAGE) if each.name == wanted)
    if kernel.compiled and compiler is None:
        raise RequestError(
            "attention is {wanted!r}, which works in compiled code only: add --compile, or choose auto", wanted=wanted
        )
    if context_parallel and not kernel.context_parallel:
        raise RequestError(
            "attention is {wanted!r}, which cannot share tokens between processes: choose flash, sage or native",
            wanted=wanted,
        )
    try:
        _verify(kernel, device, dtype, (heads, head_dim), compiler)
    except _KernelUnusable as error:
        if error.missing:
            raise RequestError(
                "attention is {wanted!r}, which needs {package} and does not find it: install it, or choose "
                "native or auto",
                wanted=wanted,
                package=kernel.package,
            ) from error
        return AttentionChoice(
            NATIVE.backend,
            (
                _log_info(
                    Sentence(
                        "attention {wanted} is not used ({error}): native computes instead", wanted=wanted, error=error
                    )
                ),
            ),
        )
    return AttentionChoice(kernel.backend)


def set_attention_backend(transformer: ModelMixin, choice: AttentionChoice) -> None:
    """Set the kernel of the transformer's attention; masked motion attention stays on torch's own.

    Diffusers also makes the kernel the global default, but it may not support the masks and shapes of other models, so
    the global default is restored.
    """
    with attention_backend("native"):
        transformer.set_attention_backend(choice.backend)


def _fastest(
    device: torch.device, dtype: torch.dtype, size: tuple[int, int], compiler: str | None, context_parallel: bool
) -> AttentionChoice:
    """The fastest exact kernel, timed for some milliseconds; native if none is clearly faster."""
    messages, missing = [], []
    tokens = _BENCHMARK_TOKENS_CPU if device.type == "cpu" else _BENCHMARK_TOKENS
    native_s = _time_s(_attention_fn(NATIVE, None), _inputs(tokens, tokens, size, device, dtype))
    best, best_s = NATIVE, _MAX_TIME_SHARE * native_s
    for kernel in EXACT_KERNELS:
        if (kernel.compiled and compiler is None) or (context_parallel and not kernel.context_parallel):
            continue
        try:
            attend = _verify(kernel, device, dtype, size, compiler)
        except _KernelUnusable as error:
            if error.missing:
                missing.append(kernel.name)
            else:
                messages.append(_log_info(f"attention {kernel.name} is not used: {error}"))
            continue
        seconds = _time_s(attend, _inputs(tokens, tokens, size, device, dtype))
        if seconds < best_s:
            best, best_s = kernel, seconds
    absent = f" (not installed: {', '.join(missing)})" if missing else ""
    messages.append(_log_info(Sentence("attention is computed by {name}{absent}", name=best.name, absent=absent)))
    return AttentionChoice(best.backend, tuple(messages))


def _verify(
    kernel: AttentionKernel, device: torch.device, dtype: torch.dtype, size: tuple[int, int], compiler: str | None
) -> AttentionFn:
    """The kernel as a function, after its results were compared with the reference; raises `_KernelUnusable`."""
    try:
        # Diffusers checks here that the package is installed and recent enough.
        with attention_backend(kernel.backend):
            attend = _attention_fn(kernel, compiler if kernel.compiled else None)
    except RuntimeError as error:
        raise _KernelUnusable(str(error), missing=True) from error
    tolerance = kernel.tolerance or max(4 * torch.finfo(dtype).eps, 4e-3)
    for queries, keys in _TRIALS:
        given = _inputs(queries, keys, size, device, dtype)
        try:
            out = attend(*given)
        except Exception as error:
            # A third-party kernel may raise anything.
            why = (str(error).strip() or "no reason given").splitlines()[0]
            raise _KernelUnusable(f"it fails on this machine, {type(error).__name__}: {why}") from error
        wrong = _max_row_error(out, _reference_attention(*given))
        # Written so that NaN is refused too.
        if not wrong <= tolerance:
            raise _KernelUnusable(
                f"it gives wrong results on this machine, off by {wrong:.2g} of at most {tolerance:.2g}"
            )
    return attend


def _attention_fn(kernel: AttentionKernel, compiler: str | None) -> AttentionFn:
    def attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = dispatch_attention_fn(query, key, value, backend=kernel.backend)
        return out

    return attend if compiler is None else torch.compile(attend, backend=compiler, fullgraph=True)


def _inputs(
    queries: int, keys: int, size: tuple[int, int], device: torch.device, dtype: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Queries, keys and values (1, L or S, heads, head_dim), distributed as after Wan's norms.

    Each query is close to one key, so that a key that a kernel skips changes the result of that query visibly.
    """
    generator = torch.Generator().manual_seed(0)
    heads, width = size
    key, value, noise = (torch.randn(1, rows, heads, width, generator=generator) for rows in (keys, keys, queries))
    # From the last key backwards, since partial tiles are at the end.
    query = key[:, torch.arange(keys - 1, keys - 1 - queries, -1) % keys] + 0.3 * noise
    return query.to(device, dtype), key.to(device, dtype), value.to(device, dtype)


def _reference_attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """softmax(q k^T / sqrt(d)) v in float64 on the CPU, by its definition."""
    query, key, value = (each.cpu().double().transpose(1, 2) for each in (query, key, value))
    scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
    return (scores.softmax(dim=-1) @ value).transpose(1, 2)


def _max_row_error(out: torch.Tensor, expected: torch.Tensor) -> float:
    """The largest error of a row (one head of a token), relative to its norm; infinite for another shape or NaN."""
    if out.shape != expected.shape:
        return math.inf
    error = (out.cpu().double() - expected).norm(dim=-1) / expected.norm(dim=-1)
    return float(error.max()) if bool(error.isfinite().all()) else math.inf


def _time_s(attend: AttentionFn, given: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> float:
    """The shortest time of a few runs, after a warm-up run."""

    def wait() -> None:
        if given[0].device.type != "cpu":
            torch.accelerator.synchronize(given[0].device)

    attend(*given)
    taken = []
    for _ in range(_BENCHMARK_RUNS):
        wait()
        start = time.perf_counter()
        attend(*given)
        wait()
        taken.append(time.perf_counter() - start)
    return min(taken)


def _log_info(sentence: str) -> str:
    """Return the message, and log it at level info: a warning would appear on the terminal a second time."""
    logging.getLogger(__name__).info(sentence)
    return sentence
