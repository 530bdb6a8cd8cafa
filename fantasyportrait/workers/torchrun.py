"""Processes that torchrun started: the first one knows the user, the others make their share of every step."""

import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType
from typing import TYPE_CHECKING, TypeVar

from fantasyportrait.core.errors import RequestError
from fantasyportrait.runtime.runtime_config import RuntimeConfig

if TYPE_CHECKING:
    from fantasyportrait.pipelines.portrait_pipeline import FantasyPortraitPipeline
    from fantasyportrait.pipelines.rank_loop import LoadCommand
    from fantasyportrait.runtime.process_group import ProcessGroup as ProcessGroup

T = TypeVar("T")


def run_distributed(runtime_config: RuntimeConfig, main: "Callable[[ProcessGroup | None], T]") -> T | None:
    """What `main` returns in the first process of torchrun's, or in the only one; None in the others, at their end.

    `main` gets the process group for its animator, None where there is one process. SIGTERM interrupts it as Ctrl-C
    does, so that nothing half done is left. Raises `RequestError` for torchrun without the flag, and the flag without
    torchrun.
    """
    if runtime_config.parallel == "none" and os.environ.get("WORLD_SIZE", "1") == "1":
        # Where no handler is set yet, as the command line sets one.
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
    # Ctrl-C reaches every process of a terminal: the first one hears it, and tells the others when to stop.
    with _signal_handlers({signal.SIGINT: signal.SIG_IGN}), process_group:
        _run_rank(process_group, runtime_config)
    return None


def _interrupt_once(number: int, frame: FrameType | None) -> None:
    """As Ctrl-C, but heard once: torchrun repeats it, and who stops must come to the end with the others."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


@contextmanager
def _signal_handlers(handlers: "Mapping[signal.Signals, signal._HANDLER]") -> Iterator[None]:
    """Signals are handled so while this is entered."""
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _run_rank(process_group: "ProcessGroup", runtime_config: RuntimeConfig) -> None:
    """Load and sample what the first process says, until it leaves; an error ends this process, and so the process
    group."""
    from fantasyportrait.runtime.library_logging import quiet_libraries

    with quiet_libraries():
        from fantasyportrait.pipelines.loading import load_pipeline, transformer_folder
        from fantasyportrait.pipelines.rank_loop import run_rank
        from fantasyportrait.pipelines.video_sampling import sample_latents
        from fantasyportrait.runtime.memory import is_out_of_memory
        from fantasyportrait.runtime.torch_config import torch_settings

    def load(order: "LoadCommand", shared: "ProcessGroup") -> "FantasyPortraitPipeline":
        own = replace(order.runtime_config, device=str(process_group.device))
        with quiet_libraries():
            if shared.local_rank == 0:
                # Of another machine than the first process's, which has done it on its own.
                transformer_folder(order.files, own, order.profile)
            shared.barrier()
            return load_pipeline(order.files, own, order.profile, order.cache, shared)

    try:
        with torch_settings(process_group.device, runtime_config.compile):
            run_rank(process_group, load, sample_latents)
    except Exception as error:
        # torchrun shows the lines of all processes: this one's own name stands before its error.
        sys.stderr.write(f"process {process_group.rank} of {process_group.size}: ")
        if isinstance(error, RuntimeError) and is_out_of_memory(error):
            raise RequestError(
                f"the memory of {process_group.device} ran out: start all of them again with a profile that needs "
                "less, or a "
                "smaller video (max_side)"
            ) from error
        raise
