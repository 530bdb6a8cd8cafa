"""Processes that torchrun started: rank 0 runs the program, the other ranks compute their share of its steps."""

import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, TypeVar

from fantasyportrait.runtime.runtime_config import RuntimeConfig

if TYPE_CHECKING:
    from fantasyportrait.runtime.process_group import ProcessGroup

T = TypeVar("T")


def run_distributed(
    runtime_config: RuntimeConfig,
    main: "Callable[[ProcessGroup | None], T]",
    run_rank: "Callable[[ProcessGroup, RuntimeConfig], None]",
) -> T | None:
    """What `main` returns in rank 0 or in the only process; None in the other ranks, which call `run_rank`.

    `main` gets the process group, None where there is one process. SIGTERM interrupts it as Ctrl-C does, so that it
    leaves no unfinished files. `run_rank` returns when rank 0 closes the process group. Raises `RequestError` for
    torchrun without the flag, and the flag without torchrun.
    """
    if runtime_config.parallel == "none" and os.environ.get("WORLD_SIZE", "1") == "1":
        # Unless a handler is set already, as the command line does.
        default_handler = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        with _signal_handlers({signal.SIGTERM: signal.default_int_handler} if default_handler else {}):
            return main(None)  # without torch, which the preview does not need
    from fantasyportrait.runtime.library_logging import quiet_libraries

    with quiet_libraries():
        from fantasyportrait.runtime.offload import resolve_device
        from fantasyportrait.runtime.process_group import init_process_group
    process_group = init_process_group(runtime_config.parallel, resolve_device(runtime_config))
    if process_group.is_main_process:
        with _signal_handlers({signal.SIGINT: _interrupt_once, signal.SIGTERM: _interrupt_once}), process_group:
            return main(process_group)
    # Ctrl-C reaches every process of a terminal: rank 0 handles it and broadcasts the stop.
    with _signal_handlers({signal.SIGINT: signal.SIG_IGN}), process_group:
        try:
            run_rank(process_group, runtime_config)
        except Exception:
            # torchrun shows the lines of all processes: the error that follows begins with this one's rank.
            sys.stderr.write(f"process {process_group.rank} of {process_group.size}: ")
            raise
    return None


def _interrupt_once(number: int, frame: FrameType | None) -> None:
    """KeyboardInterrupt, once: torchrun repeats the signal, which must not interrupt the clean-up of all ranks."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


@contextmanager
def _signal_handlers(handlers: "Mapping[signal.Signals, signal._HANDLER]") -> Iterator[None]:
    """Set the handlers in this context, and the earlier ones after it."""
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
