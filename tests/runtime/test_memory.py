"""Memory that runs out is known by its words too, since torch does not always say it with its own class."""

import pytest
import torch

from fantasyportrait.runtime.memory import free_memory, ran_out


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
def test_what_says_that_memory_ran_out(error: RuntimeError, known: bool) -> None:
    assert ran_out(error) is known


def test_giving_back_works_without_a_card() -> None:
    free_memory()
