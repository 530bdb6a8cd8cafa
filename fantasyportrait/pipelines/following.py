"""A team's job: what the first process says to the others, and what they do until it leaves."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fantasyportrait.core.errors import Cancelled
from fantasyportrait.pipelines.loading import ModelFiles
from fantasyportrait.pipelines.portrait_pipeline import FantasyPortraitPipeline
from fantasyportrait.pipelines.video_job import VideoJob
from fantasyportrait.runtime.memory import free_memory
from fantasyportrait.runtime.placement import Placement
from fantasyportrait.runtime.profiles import Profile
from fantasyportrait.runtime.team import Mode, Team


@dataclass(frozen=True)
class LoadOrder:
    """What rank 0 loads, and everybody else with it: the arguments of `load_pipeline`, and what the team shares.

    In `placement`, nothing is left to be found out by each for itself: the kernel for attention is named. After it
    all meet (`Team.meet`), when each machine has what they load on its disk.
    """

    files: ModelFiles
    placement: Placement
    profile: Profile
    cache: Path
    mode: Mode


Load = Callable[[LoadOrder, Team], FantasyPortraitPipeline]
Sample = Callable[[FantasyPortraitPipeline, VideoJob], object]


def follow(team: Team, load: Load, sample: Sample) -> None:
    """What every process but the first does: load what it is told, sample each job it gets, until rank 0 leaves.

    It sees no photo, clip or result, and decodes nothing. Errors are raised: they end this process, and with it the
    team, for the others cannot go on without it.

    Args:
        team: of which this process is not the first.
        load: meets the others and makes the pipeline, on `team.device`; its `team` is set afterwards.
        sample: runs the job up to its latents, and forgets them.
    """
    pipeline: FantasyPortraitPipeline | None = None
    while (message := team.receive()) is not None:
        if isinstance(message, LoadOrder):
            # The old one goes first: two of them do not fit.
            pipeline = None
            free_memory()
            shared = team.in_mode(message.mode)
            pipeline = load(message, shared)
            pipeline.team = shared
        elif pipeline is None:
            raise RuntimeError("rank 0 sent a job before it said which pipeline to load")
        else:
            _sampled(pipeline, message, sample)


def _sampled(pipeline: FantasyPortraitPipeline, job: VideoJob, sample: Sample) -> bool:
    """Whether the job came to its end; False where rank 0 stopped it."""
    try:
        sample(pipeline, job)
    except Cancelled:
        return False
    return True
