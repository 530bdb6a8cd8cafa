"""What a computation would need, without computing: peak bytes of its tensors, and its floating point operations.

Tensors are fake (torch's device "meta": shapes and types, no numbers), so the full model is traced in seconds anywhere.
"""

import weakref
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

# The caching allocator of a GPU gives out memory in pieces of so many bytes.
_PIECE = 512


@dataclass(frozen=True)
class Trace:
    """One computation's need.

    Attributes:
        peak: bytes of the tensors that it made, at most so many at once. Tensors that were there before do not count.
        held: bytes of those that outlive it.
        flop: floating point operations of matrix products, convolutions and attention.
    """

    peak: int
    held: int
    flop: int


@contextmanager
def meta_tensors() -> Iterator[None]:
    """Inside, every tensor that is made is fake, without gradients: build networks and inputs here, then `trace`."""
    with torch.device("meta"), torch.no_grad():
        yield


def trace(work: Callable[[], object]) -> Trace:
    """Run `work` on fake tensors (inside `meta_tensors`) and say what it would need on a GPU.

    Attention and root mean square norms count as the fused kernels that GPUs have: scores are never in memory, a mask
    is there as a bias in the query's type (twice: kernels want its rows aligned).
    """
    memory = _Memory()
    with memory, _Fused(memory):
        kept = work()
    return Trace(memory.peak, 0 if kept is None else memory.now, memory.flop)


class _Memory(TorchDispatchMode):
    """Follows the storages that operators make, until Python lets go of them, and counts the operators' work."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.peak = 0
        self.flop = 0
        self.on_card = True
        """Whether what is made now is on the GPU, and counts."""
        self._known: dict[int, weakref.ref[torch.UntypedStorage]] = {}
        self._like: dict[Hashable, tuple[torch.Size, tuple[int, ...], torch.dtype]] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run the operator; count what is new in its result."""
        given = kwargs or {}
        for storage in _storages((args, *given.values())):
            self._remember(storage, 0)
        out = self._run(func, args, given)
        for storage in _storages(out):
            self._remember(storage, -(-storage.nbytes() // _PIECE) * _PIECE if self.on_card else 0)
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.flop += formula(*args, **given, out_val=out)
        return out

    def _run(self, func: Any, args: tuple[Any, ...], given: dict[str, Any]) -> Any:
        """The operator's result. One that has made a new tensor from the same shapes before is not asked again: to find
        a shape takes torch several times as long as to make a tensor."""
        key = func, _signature((args, *given.items()))
        if key in self._like:
            shape, stride, dtype = self._like[key]
            return torch.empty_strided(shape, stride, dtype=dtype, device="meta")
        out = func(*args, **given)
        if isinstance(out, torch.Tensor) and out.untyped_storage()._cdata not in self._known:
            self._like[key] = (out.shape, out.stride(), out.dtype)
        return out

    def _remember(self, storage: torch.UntypedStorage, size: int) -> None:
        """Count a storage that was not seen before, for as long as it lives."""
        key = storage._cdata
        if key in self._known:
            return

        def forget(_: object) -> None:
            self.now -= size
            self._known.pop(key, None)

        self._known[key] = weakref.ref(storage, forget)
        self.now += size
        self.peak = max(self.peak, self.now)


class _Fused(TorchFunctionMode):
    """Stands in for what a GPU does otherwise than fake tensors: kernels of one piece, and the way to the host."""

    def __init__(self, memory: _Memory) -> None:
        super().__init__()
        self._memory = memory
        self._on_host: weakref.WeakSet[torch.UntypedStorage] = weakref.WeakSet()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """The function, or what stands for it."""
        given = kwargs or {}
        if func is functional.scaled_dot_product_attention:
            return self._attention(*args, **given)
        if func is functional.rms_norm:
            return torch.empty_like(args[0])
        if func is torch.Tensor.cpu or (func is torch.Tensor.to and _names_the_host(args[1:], given)):
            return self._to_host(args[0])
        if func is torch.Tensor.to and args[0].untyped_storage() in self._on_host:
            return torch.empty_like(args[0])
        if func is torch.Tensor.numpy:  # of no numbers
            return np.zeros(args[0].shape, dtype=np.uint8)
        return func(*args, **given)

    def _to_host(self, tensor: torch.Tensor) -> torch.Tensor:
        """A copy that takes nothing of the GPU."""
        self._memory.on_card = False
        copy = torch.empty_like(tensor)
        self._memory.on_card = True
        self._on_host.add(copy.untyped_storage())
        return copy

    def _attention(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attn_mask: torch.Tensor | None = None,
        **_: object,
    ) -> torch.Tensor:
        """(B, H, L, D) in, (B, H, L, Dv) out, laid out as the fused kernels leave it: (B, L, H, Dv)."""
        batch, heads, length, width = query.shape
        out = query.new_empty(batch, length, heads, value.shape[-1]).transpose(1, 2)
        self._memory.flop += 2 * batch * heads * length * key.shape[-2] * (width + value.shape[-1])
        # Alive until the kernel is done, not longer.
        beside = [query.new_empty(batch, heads, length, dtype=torch.float32)]
        if attn_mask is not None:
            beside += [query.new_empty(attn_mask.shape), query.new_empty(attn_mask.shape)]
        del beside
        return out


def _names_the_host(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether `Tensor.to` was asked for the CPU."""
    target = kwargs.get("device", args[0] if args else None)
    return isinstance(target, str | torch.device) and torch.device(target).type == "cpu"


def _signature(value: object) -> Hashable:
    """What the shape of an operator's result depends on: nothing else is known of a fake tensor."""
    if isinstance(value, torch.Tensor):
        return value.shape, value.stride(), value.dtype
    if isinstance(value, list | tuple):
        return tuple(_signature(each) for each in value)
    return type(value), value


def _storages(value: object) -> Iterator[torch.UntypedStorage]:
    if isinstance(value, torch.Tensor):
        yield value.untyped_storage()
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _storages(each)
