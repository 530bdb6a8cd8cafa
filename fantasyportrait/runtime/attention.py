"""Which kernel computes attention: torch's own, or an installed one that gives the same numbers on this machine.

Every candidate is tried once, on small tensors, before it is trusted. Names on the left are the runtime config's;
diffusers' own stand in `KERNELS`.
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
from fantasyportrait.runtime.runtime_config import Attention

AttentionFn = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]

# (queries, keys): self-attention of whole and of broken tiles (64 or 128 as kernels cut them), and the two
# cross-attentions, text and image.
_TRIALS = ((256, 256), (333, 333), (200, 512), (130, 257))
# Compared for speed: queries of a quarter of 480 x 832 x 81 on a GPU.
_BENCHMARK_TOKENS, _BENCHMARK_TOKENS_CPU, _BENCHMARK_RUNS = 8192, 512, 3
# Two runs of the same kernel differ by some percent too: another one has to take at most this share of native's time.
_MAX_TIME_SHARE = 0.95


@dataclass(frozen=True)
class AttentionKernel:
    """One way to compute attention.

    Attributes:
        name: the runtime config's.
        backend: diffusers' name for it.
        package: what to install for it.
        tolerance: the largest error of a row (a token's head) that is taken for right, as a share of the row's length;
            None: four steps of the number type, and no less than TF32 loses.
        context_parallel: whether diffusers can share it between processes by tokens.
        compiled: it is a kernel only inside compiled code; elsewhere it keeps all scores in memory.
    """

    name: Attention
    backend: str
    package: str
    tolerance: float | None = None
    context_parallel: bool = True
    compiled: bool = False


NATIVE = AttentionKernel("native", "native", "torch")
# Sage rounds queries and keys to 8 bits, so it is taken only where it is asked for by name.
SAGE = AttentionKernel("sage", "sage", "sageattention 2.1.1 or newer", tolerance=0.1)
EXACT_KERNELS = (
    AttentionKernel("flash3", "_flash_3", "flash-attn 3, built from its source", context_parallel=False),
    AttentionKernel("flash", "flash", "flash-attn 2.6.3 or newer"),
    AttentionKernel("flex", "flex", "torch 2.5 or newer", context_parallel=False, compiled=True),
)


@dataclass(frozen=True)
class AttentionChoice:
    """Diffusers' name of a kernel that works here, and what the user should know of the choice."""

    backend: str
    messages: tuple[str, ...] = ()

    @property
    def name(self) -> Attention:
        """The runtime config's name of the kernel."""
        return next(each.name for each in (NATIVE, SAGE, *EXACT_KERNELS) if each.backend == self.backend)


class _KernelUnusable(Exception):
    """Why a kernel is left out; `missing` where its package is not installed."""

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

    A kernel that fails or is wrong is left out, in the log and in the messages; by auto, one that is hardly faster too.

    Args:
        wanted: a name of `RuntimeConfig.attention`; auto: the fastest of those that compute exactly, as timed now.
        device, dtype: where and in which numbers the transformer computes.
        heads, head_dim: the transformer's.
        compiler: torch's name of the compiler if the transformer is compiled; flex works only then.
        context_parallel: the tokens are shared between processes.

    Raises:
        RequestError: the kernel named is not installed, or cannot be combined with the rest.
    """
    if wanted == "native":
        return AttentionChoice(NATIVE.backend)
    if wanted == "auto":
        return _fastest(device, dtype, (heads, head_dim), compiler, context_parallel)
    kernel = next(each for each in (*EXACT_KERNELS, SAGE) if each.name == wanted)
    if kernel.compiled and compiler is None:
        raise RequestError(f"attention is {wanted!r}, which works in compiled code only: add --compile, or choose auto")
    if context_parallel and not kernel.context_parallel:
        raise RequestError(
            f"attention is {wanted!r}, which cannot share tokens between processes: choose flash, sage or native"
        )
    try:
        _verify(kernel, device, dtype, (heads, head_dim), compiler)
    except _KernelUnusable as error:
        if error.missing:
            raise RequestError(
                f"attention is {wanted!r}, which needs {kernel.package} and does not find it: install it, or choose "
                "native or auto"
            ) from error
        return AttentionChoice(
            NATIVE.backend, (_log_info(f"attention {wanted} is not used ({error}): native computes instead"),)
        )
    return AttentionChoice(kernel.backend)


def set_attention_backend(transformer: ModelMixin, choice: AttentionChoice) -> None:
    """Let the transformer's attention run on that kernel; masked motion attention stays on torch's own.

    Diffusers makes the kernel everybody's default at the same time, and other models of the process have masks or
    shapes that it may not know: so the default is put back as it was.
    """
    with attention_backend("native"):
        transformer.set_attention_backend(choice.backend)


def _fastest(
    device: torch.device, dtype: torch.dtype, size: tuple[int, int], compiler: str | None, context_parallel: bool
) -> AttentionChoice:
    """The fastest exact kernel by a trial of some milliseconds; native where none beats it clearly."""
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
    messages.append(_log_info(f"attention is computed by {best.name}{absent}"))
    return AttentionChoice(best.backend, tuple(messages))


def _verify(
    kernel: AttentionKernel, device: torch.device, dtype: torch.dtype, size: tuple[int, int], compiler: str | None
) -> AttentionFn:
    """The kernel as a function, once its results were compared with those of plain arithmetic; raises
    `_KernelUnusable`."""
    try:
        # Entered only for its check: diffusers says here whether the package is there and new enough.
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
            # Whatever a foreign kernel raises: what it means for us is the same.
            why = (str(error).strip() or "no reason given").splitlines()[0]
            raise _KernelUnusable(f"it fails on this machine, {type(error).__name__}: {why}") from error
        wrong = _max_row_error(out, _reference_attention(*given))
        # Not "more than": what is not a number is wrong too.
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
    """Queries, keys and values (1, L or S, heads, head_dim), as Wan has them after its norms.

    Each query leans towards one key of its own, so that a key that a kernel forgets cannot hide in an average.
    """
    generator = torch.Generator().manual_seed(0)
    heads, width = size
    key, value, noise = (torch.randn(1, rows, heads, width, generator=generator) for rows in (keys, keys, queries))
    # From the last key on: the ends are where tiles are broken.
    query = key[:, torch.arange(keys - 1, keys - 1 - queries, -1) % keys] + 0.3 * noise
    return query.to(device, dtype), key.to(device, dtype), value.to(device, dtype)


def _reference_attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """softmax(q k^T / sqrt(d)) v in float64 on the CPU: the definition, and nobody's kernel."""
    query, key, value = (each.cpu().double().transpose(1, 2) for each in (query, key, value))
    scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
    return (scores.softmax(dim=-1) @ value).transpose(1, 2)


def _max_row_error(out: torch.Tensor, expected: torch.Tensor) -> float:
    """The largest error of a row (a token's head), as a share of that row's length; infinite for another shape."""
    if out.shape != expected.shape:
        return math.inf
    error = (out.cpu().double() - expected).norm(dim=-1) / expected.norm(dim=-1)
    return float(error.max()) if bool(error.isfinite().all()) else math.inf


def _time_s(attend: AttentionFn, given: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> float:
    """The shortest of a few runs, after one to warm up."""

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
