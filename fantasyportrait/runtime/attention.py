"""Which kernel computes attention: torch's own, or an installed one that gives the same numbers on this machine.

Every candidate is tried once, on small tensors, before it is trusted. Names on the left are the placement's; diffusers'
own stand in `KERNELS`.
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
from fantasyportrait.runtime.placement import Attention

Attend = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]

# (queries, keys): self-attention of whole and of broken tiles (64 or 128 as kernels cut them), and the two
# cross-attentions, text and image.
_TRIALS = ((256, 256), (333, 333), (200, 512), (130, 257))
# Compared for speed: queries of a quarter of 480 x 832 x 81 on a card.
_TIMED_TOKENS, _TIMED_TOKENS_CPU, _TIMED_RUNS = 8192, 512, 3
# Two runs of the same kernel differ by some percent too: another one has to take at most this share of native's time.
_WORTH_CHANGING = 0.95


@dataclass(frozen=True)
class Kernel:
    """One way to compute attention.

    Attributes:
        name: the placement's.
        backend: diffusers' name for it.
        package: what to install for it.
        tolerance: the largest error of a row (a token's head) that is taken for right, as a share of the row's length;
            None: four steps of the number type, and no less than TF32 loses.
        across: whether diffusers can share it between processes by tokens.
        compiled: it is a kernel only inside compiled code; elsewhere it keeps all scores in memory.
    """

    name: Attention
    backend: str
    package: str
    tolerance: float | None = None
    across: bool = True
    compiled: bool = False


NATIVE = Kernel("native", "native", "torch")
# Sage rounds queries and keys to 8 bits, so it is taken only where it is asked for by name.
SAGE = Kernel("sage", "sage", "sageattention 2.1.1 or newer", tolerance=0.1)
EXACT = (
    Kernel("flash3", "_flash_3", "flash-attn 3, built from its source", across=False),
    Kernel("flash", "flash", "flash-attn 2.6.3 or newer"),
    Kernel("flex", "flex", "torch 2.5 or newer", across=False, compiled=True),
)


@dataclass(frozen=True)
class Choice:
    """Diffusers' name of a kernel that works here, and what the user should know of the choice."""

    backend: str
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> Attention:
        """The placement's name of the kernel."""
        return next(each.name for each in (NATIVE, SAGE, *EXACT) if each.backend == self.backend)


class _Unusable(Exception):
    """Why a kernel is left out; `missing` where its package is not installed."""

    def __init__(self, why: str, missing: bool = False) -> None:
        super().__init__(why)
        self.missing = missing


def choose_attention(
    wanted: str,
    device: torch.device,
    dtype: torch.dtype,
    heads: int = 40,
    head_dim: int = 128,
    compiler: str | None = None,
    across: bool = False,
) -> Choice:
    """The kernel to use on this machine.

    A kernel that fails or is wrong is left out, in the log and in the notes; by auto, one that is hardly faster too.

    Args:
        wanted: a name of `Placement.attention`; auto: the fastest of those that compute exactly, as timed now.
        device, dtype: where and in which numbers the transformer computes.
        heads, head_dim: the transformer's.
        compiler: torch's name of the compiler if the transformer is compiled; flex works only then.
        across: the tokens are shared between processes.

    Raises:
        RequestError: the kernel named is not installed, or cannot be combined with the rest.
    """
    if wanted == "native":
        return Choice(NATIVE.backend)
    if wanted == "auto":
        return _fastest(device, dtype, (heads, head_dim), compiler, across)
    kernel = next(each for each in (*EXACT, SAGE) if each.name == wanted)
    if kernel.compiled and compiler is None:
        raise RequestError(f"attention is {wanted!r}, which works in compiled code only: add --compile, or choose auto")
    if across and not kernel.across:
        raise RequestError(
            f"attention is {wanted!r}, which cannot share tokens between processes: choose flash, sage or native"
        )
    try:
        _verify(kernel, device, dtype, (heads, head_dim), compiler)
    except _Unusable as error:
        if error.missing:
            raise RequestError(
                f"attention is {wanted!r}, which needs {kernel.package} and does not find it: install it, or choose "
                "native or auto"
            ) from error
        return Choice(NATIVE.backend, (_said(f"attention {wanted} is not used ({error}): native computes instead"),))
    return Choice(kernel.backend)


def set_attention(transformer: ModelMixin, choice: Choice) -> None:
    """Let the transformer's attention run on that kernel; masked motion attention stays on torch's own.

    Diffusers makes the kernel everybody's default at the same time, and other models of the process have masks or
    shapes that it may not know: so the default is put back as it was.
    """
    with attention_backend("native"):
        transformer.set_attention_backend(choice.backend)


def _fastest(
    device: torch.device, dtype: torch.dtype, size: tuple[int, int], compiler: str | None, across: bool
) -> Choice:
    """The fastest exact kernel by a trial of some milliseconds; native where none beats it clearly."""
    notes, missing = [], []
    tokens = _TIMED_TOKENS_CPU if device.type == "cpu" else _TIMED_TOKENS
    native_s = _seconds(_attend(NATIVE, None), _inputs(tokens, tokens, size, device, dtype))
    best, best_s = NATIVE, _WORTH_CHANGING * native_s
    for kernel in EXACT:
        if (kernel.compiled and compiler is None) or (across and not kernel.across):
            continue
        try:
            attend = _verify(kernel, device, dtype, size, compiler)
        except _Unusable as error:
            if error.missing:
                missing.append(kernel.name)
            else:
                notes.append(_said(f"attention {kernel.name} is not used: {error}"))
            continue
        seconds = _seconds(attend, _inputs(tokens, tokens, size, device, dtype))
        if seconds < best_s:
            best, best_s = kernel, seconds
    absent = f" (not installed: {', '.join(missing)})" if missing else ""
    notes.append(_said(f"attention is computed by {best.name}{absent}"))
    return Choice(best.backend, tuple(notes))


def _verify(
    kernel: Kernel, device: torch.device, dtype: torch.dtype, size: tuple[int, int], compiler: str | None
) -> Attend:
    """The kernel as a function, once its results were compared with those of plain arithmetic; raises `_Unusable`."""
    try:
        # Entered only for its check: diffusers says here whether the package is there and new enough.
        with attention_backend(kernel.backend):
            attend = _attend(kernel, compiler if kernel.compiled else None)
    except RuntimeError as error:
        raise _Unusable(str(error), missing=True) from error
    tolerance = kernel.tolerance or max(4 * torch.finfo(dtype).eps, 4e-3)
    for queries, keys in _TRIALS:
        given = _inputs(queries, keys, size, device, dtype)
        try:
            out = attend(*given)
        except Exception as error:
            # Whatever a foreign kernel raises: what it means for us is the same.
            why = (str(error).strip() or "no reason given").splitlines()[0]
            raise _Unusable(f"it fails on this machine, {type(error).__name__}: {why}") from error
        wrong = _row_error(out, _plain_attention(*given))
        # Not "more than": what is not a number is wrong too.
        if not wrong <= tolerance:
            raise _Unusable(f"it gives wrong results on this machine, off by {wrong:.2g} of at most {tolerance:.2g}")
    return attend


def _attend(kernel: Kernel, compiler: str | None) -> Attend:
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


def _plain_attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """softmax(q k^T / sqrt(d)) v in float64 on the CPU: the definition, and nobody's kernel."""
    query, key, value = (each.cpu().double().transpose(1, 2) for each in (query, key, value))
    scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
    return (scores.softmax(dim=-1) @ value).transpose(1, 2)


def _row_error(out: torch.Tensor, expected: torch.Tensor) -> float:
    """The largest error of a row (a token's head), as a share of that row's length; infinite for another shape."""
    if out.shape != expected.shape:
        return math.inf
    error = (out.cpu().double() - expected).norm(dim=-1) / expected.norm(dim=-1)
    return float(error.max()) if bool(error.isfinite().all()) else math.inf


def _seconds(attend: Attend, given: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> float:
    """The shortest of a few runs, after one to warm up."""

    def wait() -> None:
        if given[0].device.type != "cpu":
            torch.accelerator.synchronize(given[0].device)

    attend(*given)
    taken = []
    for _ in range(_TIMED_RUNS):
        wait()
        start = time.perf_counter()
        attend(*given)
        wait()
        taken.append(time.perf_counter() - start)
    return min(taken)


def _said(sentence: str) -> str:
    """The sentence for the notes, and in the log; as information, or it would stand on the terminal twice."""
    logging.getLogger(__name__).info(sentence)
    return sentence
