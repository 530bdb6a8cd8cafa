"""Memory that ran out, memory given back, and memory that can still be had."""

import gc

import torch
from accelerate.utils.memory import clear_device_cache

# Of pinned memory, kernels that are loaded late, matrix libraries, and memory of the host.
_WORDS = ("out of memory", "alloc_failed", "can't allocate memory", "not enough memory")


def free_memory() -> None:
    """Let go of what nothing refers to any more: models keep themselves alive in circles, cards keep freed blocks."""
    gc.collect()
    clear_device_cache()
    # Pinned memory too, which torch keeps for the next copy: a whole model's, after streaming.
    give_back = getattr(torch.accelerator, "empty_host_cache", None)
    if give_back is not None and torch.accelerator.is_available():
        give_back()


def card_room(device: torch.device) -> int:
    """Bytes that can still be had on a card: what is free, and what our own allocator keeps unused."""
    free, _ = (
        torch.cuda.mem_get_info(device) if torch.cuda.is_available() else torch.accelerator.get_memory_info(device)
    )
    return free + torch.accelerator.memory_reserved(device) - torch.accelerator.memory_allocated(device)


def ran_out(error: RuntimeError) -> bool:
    """Whether it says that memory ran out, the device's or the host's: not all of torch says it with its own class."""
    text = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError) or any(words in text for words in _WORDS)
