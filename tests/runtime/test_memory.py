"""Out-of-memory errors are recognized by class and by message, since torch does not always use its own class."""

import pytest
import torch

from fantasyportrait.runtime.memory import free_device_bytes, free_memory, is_out_of_memory


@pytest.mark.parametrize(
    ("error", "known"),
    [
        (torch.OutOfMemoryError("no room"), True),
        (torch.AcceleratorError("CUDA error: out of memory"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
    ],
)
def test_out_of_memory_errors_are_recognized(error: RuntimeError, known: bool) -> None:
    assert is_out_of_memory(error) is known


@pytest.mark.skipif(torch.accelerator.is_available(), reason="a GPU has figures of its own")
def test_free_memory_includes_allocator_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, figure in (("get_memory_info", (10, 24)), ("memory_reserved", 7), ("memory_allocated", 4)):
        monkeypatch.setattr(torch.accelerator, name, lambda device, figure=figure: figure)
    assert free_device_bytes(torch.device("meta")) == 10 + 3


def test_release_memory_works_without_gpu() -> None:
    free_memory()
