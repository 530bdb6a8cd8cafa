"""Processes that torchrun started: the first one knows the user, the others make their share of every step."""

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from fantasyportrait.runtime.placement import Placement

if TYPE_CHECKING:
    from fantasyportrait.pipelines.following import LoadOrder
    from fantasyportrait.pipelines.portrait_pipeline import FantasyPortraitPipeline
    from fantasyportrait.runtime.team import Team as Team

T = TypeVar("T")


def run_in_team(placement: Placement, lead: "Callable[[Team | None], T]") -> T | None:
    """What `lead` returns in the first process of torchrun's, or in the only one; None in the others, at their end.

    `lead` gets the team for its animator, None where there is one process. Raises `RequestError` for torchrun without
    the flag, and the flag without torchrun.
    """
    if placement.parallel == "none" and os.environ.get("WORLD_SIZE", "1") == "1":
        return lead(None)  # without torch, which the preview does not need
    from fantasyportrait.runtime.quiet import quiet_libraries

    with quiet_libraries():
        from fantasyportrait.runtime.place import device_of
        from fantasyportrait.runtime.team import join_team
    with join_team(placement.parallel, device_of(placement)) as team:
        if team.leads:
            return lead(team)
        _follow(team, placement)
        return None


def _follow(team: "Team", placement: Placement) -> None:
    """Load and sample what the first process says, until it leaves; an error ends this process, and so the team."""
    from fantasyportrait.runtime.quiet import quiet_libraries

    with quiet_libraries():
        from fantasyportrait.pipelines.following import follow
        from fantasyportrait.pipelines.loading import load_pipeline
        from fantasyportrait.pipelines.video_job import sample_latents
        from fantasyportrait.runtime.compute import compute_settings

    def load(order: "LoadOrder", shared: "Team") -> "FantasyPortraitPipeline":
        own = replace(order.placement, device=str(team.device))
        with quiet_libraries():
            return load_pipeline(order.files, own, order.profile, order.cache, shared)

    try:
        with compute_settings(team.device, placement.compile):
            follow(team, load, sample_latents)
    except Exception:
        # torchrun shows the lines of all processes: this one's own name stands before its error.
        sys.stderr.write(f"process {team.rank} of {team.size}: ")
        raise
