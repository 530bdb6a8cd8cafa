"""A process group's job: what the first process says to the others, and what they do until it leaves."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fantasyportrait.core.errors import Cancelled
from fantasyportrait.pipelines.loading import ModelFiles
from fantasyportrait.pipelines.portrait_pipeline import FantasyPortraitPipeline
from fantasyportrait.pipelines.video_sampling import VideoJob
from fantasyportrait.runtime.memory import free_memory
from fantasyportrait.runtime.process_group import ParallelMode, ProcessGroup
from fantasyportrait.runtime.profiles import Profile
from fantasyportrait.runtime.runtime_config import RuntimeConfig


@dataclass(frozen=True)
class LoadCommand:
    """What rank 0 loads, and everybody else with it: the arguments of `load_pipeline`, and what the process group
    shares.

    In `runtime_config`, nothing is left to be found out by each for itself: the kernel for attention is named. After it
    all meet (`ProcessGroup.barrier`), when each machine has what they load on its disk.
    """

    files: ModelFiles
    runtime_config: RuntimeConfig
    profile: Profile
    cache: Path
    mode: ParallelMode


LoadFn = Callable[[LoadCommand, ProcessGroup], FantasyPortraitPipeline]
SampleFn = Callable[[FantasyPortraitPipeline, VideoJob], object]


def run_rank(process_group: ProcessGroup, load: LoadFn, sample: SampleFn) -> None:
    """What every process but the first does: load what it is told, sample each job it gets, until rank 0 leaves.

    It sees no photo, clip or result, and decodes nothing. Errors are raised: they end this process, and with it the
    process_group, for the others cannot go on without it.

    Args:
        process_group: of which this process is not the first.
        load: meets the others and makes the pipeline, on `process_group.device`; its `process_group` is set afterwards.
        sample: runs the job up to its latents, and forgets them.
    """
    pipeline: FantasyPortraitPipeline | None = None
    while (message := process_group.receive_object()) is not None:
        if isinstance(message, LoadCommand):
            # The old one goes first: two of them do not fit.
            pipeline = None
            free_memory()
            shared = process_group.with_mode(message.mode)
            pipeline = load(message, shared)
            pipeline.process_group = shared
        elif pipeline is None:
            raise RuntimeError("rank 0 sent a job before it said which pipeline to load")
        else:
            _try_sample(pipeline, message, sample)


def _try_sample(pipeline: FantasyPortraitPipeline, job: VideoJob, sample: SampleFn) -> bool:
    """Whether the job came to its end; False where rank 0 stopped it."""
    try:
        sample(pipeline, job)
    except Cancelled:
        return False
    return True
