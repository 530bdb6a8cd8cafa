"""Out-of-memory errors, freeing memory, and the available memory of a GPU."""

import gc

import torch
from accelerate.utils.memory import clear_device_cache

# Messages of CUDA, of its matrix libraries, and of the host's allocators.
_OOM_MESSAGES = ("out of memory", "alloc_failed", "can't allocate memory", "not enough memory")


def free_memory() -> None:
    """Collect garbage (models have reference cycles), and release the cached memory of device and host allocators."""
    gc.collect()
    clear_device_cache()
    # The cache of pinned memory holds a whole model after streaming.
    empty_host_cache = getattr(torch.accelerator, "empty_host_cache", None)
    if empty_host_cache is not None and torch.accelerator.is_available():
        empty_host_cache()


def free_device_bytes(device: torch.device) -> int:
    """Available bytes on a GPU: free memory, and memory that torch's allocator caches unused."""
    free, _ = (
        torch.cuda.mem_get_info(device) if torch.cuda.is_available() else torch.accelerator.get_memory_info(device)
    )
    return free + torch.accelerator.memory_reserved(device) - torch.accelerator.memory_allocated(device)


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether the error means that device or host memory ran out; not all of torch raises `OutOfMemoryError`."""
    text = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError) or any(words in text for words in _OOM_MESSAGES)
