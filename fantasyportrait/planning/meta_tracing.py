"""Peak memory and floating point operations of a computation, traced on torch's meta device.

Meta tensors have a shape and a dtype but no data, so the full model is traced in seconds on any machine.
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

# Torch's caching allocator rounds every tensor up to a multiple of so many bytes.
_PIECE = 512


@dataclass(frozen=True)
class Trace:
    """The cost of one computation.

    Attributes:
        peak: the most bytes of new tensors alive at once; tensors that existed before do not count.
        held: bytes of the new tensors that are alive at its end.
        flop: floating point operations of matrix products, convolutions and attention.
    """

    peak: int
    held: int
    flop: int


@contextmanager
def meta_tensors() -> Iterator[None]:
    """Inside, new tensors are on the meta device, without gradients: build networks and inputs here, then `trace`."""
    with torch.device("meta"), torch.no_grad():
        yield


def trace(work: Callable[[], object]) -> Trace:
    """The cost of `work` on a GPU, run on meta tensors (inside `meta_tensors`).

    Attention and RMS norms count as fused kernels: scores are never in memory, and a mask is a bias in the query's
    dtype (twice, since kernels align its rows).
    """
    memory = _Memory()
    with memory, _Fused(memory):
        kept = work()
    return Trace(memory.peak, 0 if kept is None else memory.now, memory.flop)


class _Memory(TorchDispatchMode):
    """Tracks the storages that operators allocate until Python frees them, and counts the operators' operations."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.peak = 0
        self.flop = 0
        self.on_gpu = True
        """Whether new tensors are on the GPU, and count."""
        self._known: dict[int, weakref.ref[torch.UntypedStorage]] = {}
        self._like: dict[Hashable, tuple[torch.Size, tuple[int, ...], torch.dtype]] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run the operator and count the new storages of its result."""
        given = kwargs or {}
        for storage in _storages((args, *given.values())):
            self._remember(storage, 0)
        out = self._run(func, args, given)
        for storage in _storages(out):
            self._remember(storage, -(-storage.nbytes() // _PIECE) * _PIECE if self.on_gpu else 0)
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.flop += formula(*args, **given, out_val=out)
        return out

    def _run(self, func: Any, args: tuple[Any, ...], given: dict[str, Any]) -> Any:
        """The operator's result. The shape of a new tensor is kept for the same inputs, since torch takes several times
        as long to infer it as to allocate the tensor."""
        key = func, _signature((args, *given.items()))
        if key in self._like:
            shape, stride, dtype = self._like[key]
            return torch.empty_strided(shape, stride, dtype=dtype, device="meta")
        out = func(*args, **given)
        if isinstance(out, torch.Tensor) and out.untyped_storage()._cdata not in self._known:
            self._like[key] = (out.shape, out.stride(), out.dtype)
        return out

    def _remember(self, storage: torch.UntypedStorage, size: int) -> None:
        """Count a new storage for as long as it lives."""
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
    """Replaces functions whose cost differs on a GPU: fused kernels, and copies to the host."""

    def __init__(self, memory: _Memory) -> None:
        super().__init__()
        self._memory = memory
        self._on_host: weakref.WeakSet[torch.UntypedStorage] = weakref.WeakSet()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run the function, or its replacement."""
        given = kwargs or {}
        if func is functional.scaled_dot_product_attention:
            return self._attention(*args, **given)
        if func is functional.rms_norm:
            return torch.empty_like(args[0])
        if func is torch.Tensor.cpu or (func is torch.Tensor.to and _is_to_cpu(args[1:], given)):
            return self._to_host(args[0])
        if func is torch.Tensor.to and args[0].untyped_storage() in self._on_host:
            return torch.empty_like(args[0])
        if func is torch.Tensor.numpy:  # meta tensors have no data
            return np.zeros(args[0].shape, dtype=np.uint8)
        return func(*args, **given)

    def _to_host(self, tensor: torch.Tensor) -> torch.Tensor:
        """A copy that takes no memory of the GPU."""
        self._memory.on_gpu = False
        copy = torch.empty_like(tensor)
        self._memory.on_gpu = True
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
        """(B, H, L, D) in, (B, H, L, Dv) out, in the fused kernels' memory layout (B, L, H, Dv)."""
        batch, heads, length, width = query.shape
        out = query.new_empty(batch, length, heads, value.shape[-1]).transpose(1, 2)
        self._memory.flop += 2 * batch * heads * length * key.shape[-2] * (width + value.shape[-1])
        # Temporary tensors of the kernel.
        beside = [query.new_empty(batch, heads, length, dtype=torch.float32)]
        if attn_mask is not None:
            beside += [query.new_empty(attn_mask.shape), query.new_empty(attn_mask.shape)]
        del beside
        return out


def _is_to_cpu(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether these arguments of `Tensor.to` name the CPU."""
    target = kwargs.get("device", args[0] if args else None)
    return isinstance(target, str | torch.device) and torch.device(target).type == "cpu"


def _signature(value: object) -> Hashable:
    """The part of a value that the shape of an operator's result depends on, as a key."""
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
