"""The loop of all ranks but the first: they load the pipelines and sample the jobs that rank 0 broadcasts."""

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
    """Rank 0's command to load a pipeline: the arguments of `load_pipeline`, and the process group's mode.

    `runtime_config` names the attention kernel, so that all ranks use the same. After receiving it, all ranks meet in
    `ProcessGroup.barrier`, once each machine has the files on its disk.
    """

    files: ModelFiles
    runtime_config: RuntimeConfig
    profile: Profile
    cache: Path
    mode: ParallelMode


LoadFn = Callable[[LoadCommand, ProcessGroup], FantasyPortraitPipeline]
SampleFn = Callable[[FantasyPortraitPipeline, VideoJob], object]


def run_rank(process_group: ProcessGroup, load: LoadFn, sample: SampleFn) -> None:
    """Load each pipeline and sample each job that rank 0 broadcasts, until it shuts down.

    These ranks read no photo or clip and decode no frames. An error ends this process, and so the whole process group.

    Args:
        process_group: the group; this process is not rank 0.
        load: waits at the barrier and loads the pipeline on `process_group.device`.
        sample: samples the job's latents; the result is not used.
    """
    pipeline: FantasyPortraitPipeline | None = None
    while (message := process_group.receive_object()) is not None:
        if isinstance(message, LoadCommand):
            # Free the old pipeline first: two do not fit.
            pipeline = None
            free_memory()
            shared = process_group.with_mode(message.mode)
            pipeline = load(message, shared)
            pipeline.process_group = shared
        elif pipeline is None:
            raise RuntimeError("rank 0 sent a job before a pipeline to load")
        else:
            _try_sample(pipeline, message, sample)


def _try_sample(pipeline: FantasyPortraitPipeline, job: VideoJob, sample: SampleFn) -> bool:
    """Whether the job finished; False if rank 0 stopped it."""
    try:
        sample(pipeline, job)
    except Cancelled:
        return False
    return True
