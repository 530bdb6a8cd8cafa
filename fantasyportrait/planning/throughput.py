"""Short measurements of a machine's throughput: matrix products, memory, and the link to the GPU."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from fantasyportrait.planning.machine import GIB

_GPU_SIDE, _CPU_SIDE = 8192, 512
_PIECE_BYTES = 256 << 20
_CPU_PIECE_BYTES = 16 << 20
_CPU_SECONDS = 0.05


@dataclass(frozen=True)
class Throughput:
    """Peak throughput of the machine.

    Attributes:
        tflops: large matrix products in the transformer's dtype, 1e12 operations a second.
        h2d_gib_s: copies from pinned memory to the device; infinite with unified memory.
        memory_gib_s: reads and writes of the device's memory.
    """

    tflops: float
    h2d_gib_s: float
    memory_gib_s: float


ZERO_GPU_THROUGHPUT = Throughput(tflops=360.0, h2d_gib_s=10.0, memory_gib_s=2000.0)
"""What a ZeroGPU call is assumed to have: 60 of the 132 multiprocessors of an H200, whose matrix products reach 800
TFLOP/s, and half of its memory. It is not measured, since the GPU is there only within a call; the time of every run
corrects later estimates."""


def measure_throughput(device: torch.device, dtype: torch.dtype, seconds: float = 1.0) -> Throughput:
    """The throughput of a device; each of three measurements takes `seconds` at most, 0.05 s on the CPU.

    Args:
        device: device of the transformer.
        dtype: compute dtype of the transformer.
        seconds: time for each measurement.
    """
    on_cpu = device.type == "cpu"
    seconds = min(seconds, _CPU_SECONDS) if on_cpu else seconds
    side = _CPU_SIDE if on_cpu else _GPU_SIDE
    square = torch.randn(side, side, device=device, dtype=dtype)
    out = torch.empty_like(square)
    products = _calls_per_second(lambda: torch.matmul(square, square, out=out), device, seconds)
    piece = torch.zeros(_CPU_PIECE_BYTES if on_cpu else _PIECE_BYTES, dtype=torch.uint8, device=device)
    other = torch.empty_like(piece)
    copies = _calls_per_second(lambda: other.copy_(piece), device, seconds)
    return Throughput(
        tflops=products * 2 * side**3 / 1e12,
        h2d_gib_s=_h2d_gib_s(piece, seconds),
        memory_gib_s=copies * 2 * piece.nbytes / GIB,
    )


def _h2d_gib_s(target: torch.Tensor, seconds: float) -> float:
    """Throughput of copies from pinned memory into `target`; infinite with unified memory."""
    if target.device.type in ("cpu", "mps"):
        return float("inf")
    pinned = torch.zeros(target.shape, dtype=target.dtype).pin_memory()
    copies = _calls_per_second(lambda: target.copy_(pinned, non_blocking=True), target.device, seconds)
    return copies * target.nbytes / GIB


def _calls_per_second(work: Callable[[], object], device: torch.device, seconds: float) -> float:
    """Calls of `work` a second, after a warm-up."""
    for _ in range(2):
        work()
    _synchronize(device)
    begin, count, passed = time.perf_counter(), 0, 0.0
    while passed < seconds or not count:
        # Several calls between synchronizations, so that those take a small share of the time.
        for _ in range(4):
            work()
        _synchronize(device)
        count += 4
        passed = max(time.perf_counter() - begin, 1e-9)
    return count / passed


def _synchronize(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
