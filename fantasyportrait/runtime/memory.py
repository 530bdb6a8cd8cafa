"""Memory given back."""

import gc

from accelerate.utils.memory import clear_device_cache


def free_memory() -> None:
    """Let go of what nothing refers to any more: models keep themselves alive in circles, cards keep freed blocks."""
    gc.collect()
    clear_device_cache()
