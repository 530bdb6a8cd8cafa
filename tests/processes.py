"""Processes of one machine, as torchrun would start them."""

from collections.abc import Callable
from typing import Any

from torch import multiprocessing


def start_processes(work: Callable[..., None], given: tuple[Any, ...], size: int) -> None:
    """Call `work(rank, *given)` in `size` processes and wait for them; raises what one of them raises.

    What takes long to import is imported once for all of them, where that is possible.
    """
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    multiprocessing.set_forkserver_preload(["fantasyportrait.pipelines.loading", "fantasyportrait.engines.wan_model"])
    multiprocessing.start_processes(work, given, size, start_method=method)
