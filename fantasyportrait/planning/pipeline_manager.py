"""The pipeline of one model on this machine, loaded with the profile that fits, or a lower one if memory runs out."""

from dataclasses import replace
from pathlib import Path

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import RequestError
from fantasyportrait.core.sentences import Sentence
from fantasyportrait.pipelines.loading import ModelFiles, load_pipeline, resolve_attention, transformer_folder
from fantasyportrait.pipelines.portrait_pipeline import FantasyPortraitPipeline
from fantasyportrait.pipelines.rank_loop import LoadCommand
from fantasyportrait.planning.planner import ExecutionPlan, Planner
from fantasyportrait.planning.workload import Workload
from fantasyportrait.runtime.library_logging import quiet_libraries
from fantasyportrait.runtime.memory import free_memory, is_out_of_memory
from fantasyportrait.runtime.process_group import ProcessGroup, resolve_mode
from fantasyportrait.runtime.profiles import Profile
from fantasyportrait.runtime.runtime_config import RuntimeConfig
from fantasyportrait.schema.events import Message, MessageCallback

# Loading takes minutes, so a pipeline stays unless another profile would be so many times faster.
_MIN_RELOAD_SPEEDUP = 1.5


class PipelineManager:
    """Holds at most one pipeline, for one job at a time.

    Args:
        files: the model's files.
        runtime_config: this machine's settings; a named profile is the first one tried.
        cache: folder of prompt embeddings and of step times of earlier runs.
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
        """The pipeline on its device; after `ready`."""
        if self._pipeline is None:
            raise RuntimeError("no pipeline is loaded: call ready first")
        return self._pipeline

    def ready(self, job: Workload, on_message: MessageCallback, cancel: CancelToken | None = None) -> ExecutionPlan:
        """Load the pipeline that the plan selects, unless the loaded one fits the job.

        `on_message` gets the plan before anything is loaded, then each change of it. `cancel` is checked while the
        pipelines of the job are loaded. Raises `RequestError` for a job that fits no profile and for settings that
        exclude each other, both before the other processes get a command, and `Cancelled`.
        """
        self._cancel = cancel or CancelToken()
        if self._pipeline is None:
            # Free memory may have changed since the last measurement.
            self._planner.refresh()
        plan = self._planner.plan(job)
        shared = self._mode(job)
        same = (shared and shared.mode) == (self._shared and self._shared.mode)
        held = self._held(plan) if same else None
        on_message(Message((held or plan).sentence, keep=False))
        if held is None:
            self._load(plan, shared, on_message)
        else:
            self._plan = held
        return self._planned

    def plan(self, job: Workload) -> ExecutionPlan:
        """The plan for another job of this model; nothing is loaded. Raises `RequestError` where it does not fit."""
        return self._planner.plan(job)

    def fall_back(self, on_message: MessageCallback) -> bool:
        """Load one profile lower; False where there is none."""
        planned = self._planned
        plan = self._planner.fall_back(planned)
        if plan is None:
            return False
        on_message(
            Message(
                Sentence(
                    "the profile {name} does not fit into the memory of this device after all: "
                    "going on with another; {sentence}",
                    name=planned.estimate.profile.name,
                    sentence=plan.sentence,
                )
            )
        )
        self._load(plan, self._shared, on_message)
        return True

    def record(self, step_s: float) -> None:
        """Record the seconds of a step with this plan, for later estimates."""
        self._planner.record(self._planned, step_s)

    @property
    def _planned(self) -> ExecutionPlan:
        if self._plan is None:
            raise RuntimeError("nothing is planned: call ready first")
        return self._plan

    def _mode(self, job: Workload) -> ProcessGroup | None:
        """The process group in the mode for this job."""
        if self._process_group is None or self._process_group.size == 1:
            return self._process_group
        mode = resolve_mode(self._runtime_config.parallel, self._process_group.size, job.max_passes)
        if mode == "context" and job.sampling.step_cache == "first-block":
            raise RequestError(
                "{size} processes share the tokens of a pass, which does not go with "
                "FirstBlockCache: "
                "choose another step cache, or none",
                size=self._process_group.size,
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

    def _load(self, plan: ExecutionPlan, shared: ProcessGroup | None, on_message: MessageCallback) -> None:
        """Load the plan's profile, or the first lower one that fits."""
        while True:
            # Free the old pipeline first: two do not fit.
            self._pipeline, self._plan, self._shared = None, plan, shared
            free_memory()
            profile = plan.estimate.profile
            try:
                with quiet_libraries():
                    self._pipeline = self._loaded(profile, shared, on_message)
                return
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                alone = shared is None or shared.size == 1
                following = self._planner.fall_back(plan) if alone else None
            # Outside of the handler, whose exception keeps the failed pipeline alive.
            if following is None:
                raise RequestError(
                    "the model does not fit into the memory of this device with the profile {name}, and "
                    "there is none that needs less: choose a smaller model (gguf-q4), or close what else uses it",
                    name=profile.name,
                )
            on_message(
                Message(
                    Sentence(
                        "the model does not fit with the profile {name}; {sentence}",
                        name=profile.name,
                        sentence=following.sentence,
                    )
                )
            )
            plan = following

    def _loaded(
        self, profile: Profile, shared: ProcessGroup | None, on_message: MessageCallback
    ) -> FantasyPortraitPipeline:
        """The pipeline with that profile. The other processes load it too, after every check has passed."""
        choice = resolve_attention(self._files, self._runtime_config, profile, shared)
        for text in choice.messages:
            on_message(Message(text))
        runtime_config = replace(self._runtime_config, attention=choice.name)
        if shared is None or shared.size == 1:
            return load_pipeline(self._files, runtime_config, profile, self._cache, shared, on_message, self._cancel)
        transformer_folder(self._files, runtime_config, profile, on_message, self._cancel)
        shared.broadcast_object(LoadCommand(self._files, runtime_config, profile, self._cache, shared.mode))
        shared.barrier()
        # From here on no process can stop alone: the others would wait for it.
        return load_pipeline(self._files, runtime_config, profile, self._cache, shared, on_message)
