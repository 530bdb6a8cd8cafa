"""Memory that ran out, memory given back, and memory that can still be had."""

import gc

import torch
from accelerate.utils.memory import clear_device_cache

# Of pinned memory, kernels that are loaded late, matrix libraries, and memory of the host.
_OOM_MESSAGES = ("out of memory", "alloc_failed", "can't allocate memory", "not enough memory")


def free_memory() -> None:
    """Let go of what nothing refers to any more: models keep themselves alive in circles, GPUs keep freed blocks."""
    gc.collect()
    clear_device_cache()
    # Pinned memory too, which torch keeps for the next copy: a whole model's, after streaming.
    empty_host_cache = getattr(torch.accelerator, "empty_host_cache", None)
    if empty_host_cache is not None and torch.accelerator.is_available():
        empty_host_cache()


def free_device_bytes(device: torch.device) -> int:
    """Bytes that can still be had on a GPU: what is free, and what our own allocator keeps unused."""
    free, _ = (
        torch.cuda.mem_get_info(device) if torch.cuda.is_available() else torch.accelerator.get_memory_info(device)
    )
    return free + torch.accelerator.memory_reserved(device) - torch.accelerator.memory_allocated(device)


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether it says that memory ran out, the device's or the host's: not all of torch says it with its own class."""
    text = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError) or any(words in text for words in _OOM_MESSAGES)
