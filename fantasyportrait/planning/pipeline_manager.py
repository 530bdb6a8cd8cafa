"""The pipeline of one model on this machine: loaded as job and machine allow, and one profile lower if need be."""

from dataclasses import replace
from pathlib import Path

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import RequestError
from fantasyportrait.pipelines.loading import ModelFiles, Note, load_pipeline, resolve_attention, transformer_folder
from fantasyportrait.pipelines.portrait_pipeline import FantasyPortraitPipeline
from fantasyportrait.pipelines.rank_loop import LoadCommand
from fantasyportrait.planning.planner import ExecutionPlan, Planner
from fantasyportrait.planning.workload import Workload
from fantasyportrait.runtime.library_logging import quiet_libraries
from fantasyportrait.runtime.memory import free_memory, is_out_of_memory
from fantasyportrait.runtime.process_group import ProcessGroup, resolve_mode
from fantasyportrait.runtime.profiles import Profile
from fantasyportrait.runtime.runtime_config import RuntimeConfig

# Loading takes minutes, so a pipeline stays unless another profile would be so many times faster.
_MIN_RELOAD_SPEEDUP = 1.5


class PipelineManager:
    """Holds at most one pipeline, for one job at a time.

    Args:
        files: of the model.
        runtime_config: this machine's settings; a named profile is the first one tried.
        cache: folder of prompts' rows and of the times of earlier runs.
        process_group: the processes that share each step; None works alone.
    """

    def __init__(
        self, files: ModelFiles, runtime_config: RuntimeConfig, cache: Path, process_group: ProcessGroup | None = None
    ) -> None:
        self._process_group = process_group
        if process_group is not None and process_group.size > 1:
            # With its number: offloading would go to the first GPU otherwise.
            runtime_config = replace(runtime_config, device=str(process_group.device))
        self._files, self._runtime_config, self._cache = files, runtime_config, cache
        self._planner = Planner(files.folder, files.gguf, runtime_config, cache, process_group)
        self._pipeline: FantasyPortraitPipeline | None = None
        self._plan: ExecutionPlan | None = None
        self._shared: ProcessGroup | None = None
        self._cancel = CancelToken()

    @property
    def pipeline(self) -> FantasyPortraitPipeline:
        """The pipeline, placed; after `ready`."""
        if self._pipeline is None:
            raise RuntimeError("no pipeline is loaded: call ready first")
        return self._pipeline

    def ready(self, job: Workload, tell: Note, note: Note, cancel: CancelToken | None = None) -> ExecutionPlan:
        """Load what the job asks for, unless what is loaded does for it.

        `tell` is told what it will take, before anything is loaded; `note` what turns out otherwise. `cancel` is asked
        while the job's pipelines are loaded. Raises `RequestError` for a job that fits no profile, or settings that do
        not go together, before other processes are told anything; and `Cancelled`.
        """
        self._cancel = cancel or CancelToken()
        if self._pipeline is None:
            # Others may have come or gone since the last look.
            self._planner.refresh()
        plan = self._planner.plan(job)
        shared = self._mode(job)
        same = (shared and shared.mode) == (self._shared and self._shared.mode)
        held = self._held(plan) if same else None
        tell((held or plan).sentence)
        if held is None:
            self._load(plan, shared, note)
        else:
            self._plan = held
        return self._planned

    def fall_back(self, note: Note) -> bool:
        """Load one profile lower; False where there is none."""
        planned = self._planned
        plan = self._planner.fall_back(planned)
        if plan is None:
            return False
        note(
            f"the profile {planned.estimate.profile.name} does not fit into the memory of this device after all: "
            f"going on with another; {plan.sentence}"
        )
        self._load(plan, self._shared, note)
        return True

    def record(self, step_s: float) -> None:
        """Remember how long a step of this plan took, for the next estimate."""
        self._planner.record(self._planned, step_s)

    @property
    def _planned(self) -> ExecutionPlan:
        if self._plan is None:
            raise RuntimeError("nothing is planned: call ready first")
        return self._plan

    def _mode(self, job: Workload) -> ProcessGroup | None:
        """The process group as this job uses it."""
        if self._process_group is None or self._process_group.size == 1:
            return self._process_group
        mode = resolve_mode(self._runtime_config.parallel, self._process_group.size, job.max_passes)
        if mode == "context" and job.sampling.step_cache == "first-block":
            raise RequestError(
                f"{self._process_group.size} processes share the tokens of a pass, which does not go with "
                "FirstBlockCache: "
                "choose another step cache, or none"
            )
        return self._process_group.with_mode(mode)

    def _held(self, plan: ExecutionPlan) -> ExecutionPlan | None:
        """The plan for the job with the profile that is loaded; None where that does not fit, or is much slower."""
        if self._plan is None or self._pipeline is None:
            return None
        held = self._planner.plan_with(self._plan.estimate.profile, plan.job)
        if held is None or held.estimate.step_s > _MIN_RELOAD_SPEEDUP * plan.estimate.step_s:
            return None
        return held

    def _load(self, plan: ExecutionPlan, shared: ProcessGroup | None, note: Note) -> None:
        """Load the plan's profile, or the first lower one that fits."""
        while True:
            # The old one goes first: two of them do not fit.
            self._pipeline, self._plan, self._shared = None, plan, shared
            free_memory()
            profile = plan.estimate.profile
            try:
                with quiet_libraries():
                    self._pipeline = self._loaded(profile, shared, note)
                return
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                alone = shared is None or shared.size == 1
                following = self._planner.fall_back(plan) if alone else None
            # Outside of the handler, which keeps alive what did not fit.
            if following is None:
                raise RequestError(
                    f"the model does not fit into the memory of this device with the profile {profile.name}, and "
                    "there is none that needs less: choose a smaller model (gguf-q4), or close what else uses it"
                )
            note(f"the model does not fit with the profile {profile.name}; {following.sentence}")
            plan = following

    def _loaded(self, profile: Profile, shared: ProcessGroup | None, note: Note) -> FantasyPortraitPipeline:
        """The pipeline with that profile. The others load it too, once there is nothing left that could be refused."""
        choice = resolve_attention(self._files, self._runtime_config, profile, shared)
        for text in choice.notes:
            note(text)
        runtime_config = replace(self._runtime_config, attention=choice.name)
        if shared is None or shared.size == 1:
            return load_pipeline(self._files, runtime_config, profile, self._cache, shared, note, self._cancel)
        transformer_folder(self._files, runtime_config, profile, note, self._cancel)
        shared.broadcast_object(LoadCommand(self._files, runtime_config, profile, self._cache, shared.mode))
        shared.barrier()
        # From here on nobody can stop before the others do.
        return load_pipeline(self._files, runtime_config, profile, self._cache, shared, note)
