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
from fantasyportrait.runtime.placement import Placement

if TYPE_CHECKING:
    from fantasyportrait.pipelines.following import LoadOrder
    from fantasyportrait.pipelines.portrait_pipeline import FantasyPortraitPipeline
    from fantasyportrait.runtime.team import Team as Team

T = TypeVar("T")


def run_in_team(placement: Placement, lead: "Callable[[Team | None], T]") -> T | None:
    """What `lead` returns in the first process of torchrun's, or in the only one; None in the others, at their end.

    `lead` gets the team for its animator, None where there is one process. SIGTERM interrupts it as Ctrl-C does, so
    that nothing half done is left. Raises `RequestError` for torchrun without the flag, and the flag without torchrun.
    """
    if placement.parallel == "none" and os.environ.get("WORLD_SIZE", "1") == "1":
        # Where no handler is set yet, as the command line sets one.
        unheard = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        with _hearing({signal.SIGTERM: signal.default_int_handler} if unheard else {}):
            return lead(None)  # without torch, which the preview does not need
    from fantasyportrait.runtime.quiet import quiet_libraries

    with quiet_libraries():
        from fantasyportrait.runtime.place import device_of
        from fantasyportrait.runtime.team import join_team
    team = join_team(placement.parallel, device_of(placement))
    if team.leads:
        with _hearing({signal.SIGINT: _stop_once, signal.SIGTERM: _stop_once}), team:
            return lead(team)
    # Ctrl-C reaches every process of a terminal: the first one hears it, and tells the others when to stop.
    with _hearing({signal.SIGINT: signal.SIG_IGN}), team:
        _follow(team, placement)
    return None


def _stop_once(number: int, frame: FrameType | None) -> None:
    """As Ctrl-C, but heard once: torchrun repeats it, and who stops must come to the end with the others."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


@contextmanager
def _hearing(handlers: "Mapping[signal.Signals, signal._HANDLER]") -> Iterator[None]:
    """Signals are handled so while this is entered."""
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _follow(team: "Team", placement: Placement) -> None:
    """Load and sample what the first process says, until it leaves; an error ends this process, and so the team."""
    from fantasyportrait.runtime.quiet import quiet_libraries

    with quiet_libraries():
        from fantasyportrait.pipelines.following import follow
        from fantasyportrait.pipelines.loading import load_pipeline, transformer_folder
        from fantasyportrait.pipelines.video_job import sample_latents
        from fantasyportrait.runtime.compute import compute_settings
        from fantasyportrait.runtime.memory import ran_out

    def load(order: "LoadOrder", shared: "Team") -> "FantasyPortraitPipeline":
        own = replace(order.placement, device=str(team.device))
        with quiet_libraries():
            if shared.local_rank == 0:
                # Of another machine than the first process's, which has done it on its own.
                transformer_folder(order.files, own, order.profile)
            shared.meet()
            return load_pipeline(order.files, own, order.profile, order.cache, shared)

    try:
        with compute_settings(team.device, placement.compile):
            follow(team, load, sample_latents)
    except Exception as error:
        # torchrun shows the lines of all processes: this one's own name stands before its error.
        sys.stderr.write(f"process {team.rank} of {team.size}: ")
        if isinstance(error, RuntimeError) and ran_out(error):
            raise RequestError(
                f"the memory of {team.device} ran out: start all of them again with a profile that needs less, or a "
                "smaller video (max_side)"
            ) from error
        raise
