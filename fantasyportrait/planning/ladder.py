"""The pipeline of one model on this machine: loaded as job and machine allow, and one profile lower if need be."""

from dataclasses import replace
from pathlib import Path

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import RequestError
from fantasyportrait.pipelines.following import LoadOrder
from fantasyportrait.pipelines.loading import ModelFiles, Note, load_pipeline, settle, transformer_folder
from fantasyportrait.pipelines.portrait_pipeline import FantasyPortraitPipeline
from fantasyportrait.planning.fit import Fitter, Plan
from fantasyportrait.planning.job_needs import JobSize
from fantasyportrait.runtime.memory import free_memory, ran_out
from fantasyportrait.runtime.placement import Placement
from fantasyportrait.runtime.profiles import Profile
from fantasyportrait.runtime.quiet import quiet_libraries
from fantasyportrait.runtime.team import Team, mode_of

# Loading takes minutes, so a pipeline stays unless another profile would be so many times faster.
_WORTH_LOADING = 1.5


class Ladder:
    """Holds at most one pipeline, for one job at a time.

    Args:
        files: of the model.
        placement: this machine's settings; a named profile is the first one tried.
        cache: folder of prompts' rows and of the times of earlier runs.
        team: the processes that share each step; None works alone.
    """

    def __init__(self, files: ModelFiles, placement: Placement, cache: Path, team: Team | None = None) -> None:
        self._team = team
        if team is not None and team.size > 1:
            # With its number: offloading would go to the first card otherwise.
            placement = replace(placement, device=str(team.device))
        self._files, self._placement, self._cache = files, placement, cache
        self._fitter = Fitter(files.folder, files.gguf, placement, cache, team)
        self._pipeline: FantasyPortraitPipeline | None = None
        self._plan: Plan | None = None
        self._shared: Team | None = None
        self._cancel = CancelToken()

    @property
    def pipeline(self) -> FantasyPortraitPipeline:
        """The pipeline, placed; after `ready`."""
        if self._pipeline is None:
            raise RuntimeError("no pipeline is loaded: call ready first")
        return self._pipeline

    def ready(self, job: JobSize, tell: Note, note: Note, cancel: CancelToken | None = None) -> Plan:
        """Load what the job asks for, unless what is loaded does for it.

        `tell` is told what it will take, before anything is loaded; `note` what turns out otherwise. `cancel` is asked
        while the job's pipelines are loaded. Raises `RequestError` for a job that fits no profile, or settings that do
        not go together, before other processes are told anything; and `Cancelled`.
        """
        self._cancel = cancel or CancelToken()
        if self._pipeline is None:
            # Others may have come or gone since the last look.
            self._fitter.look_again()
        plan = self._fitter.plan(job)
        shared = self._mode(job)
        same = (shared and shared.mode) == (self._shared and self._shared.mode)
        held = self._held(plan) if same else None
        tell((held or plan).sentence)
        if held is None:
            self._load(plan, shared, note)
        else:
            self._plan = held
        return self._planned

    def lower(self, note: Note) -> bool:
        """Load one profile lower; False where there is none."""
        planned = self._planned
        plan = self._fitter.lower(planned)
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
        self._fitter.record(self._planned, step_s)

    @property
    def _planned(self) -> Plan:
        if self._plan is None:
            raise RuntimeError("nothing is planned: call ready first")
        return self._plan

    def _mode(self, job: JobSize) -> Team | None:
        """The team as this job uses it."""
        if self._team is None or self._team.size == 1:
            return self._team
        mode = mode_of(self._placement.parallel, self._team.size, job.most_passes)
        if mode == "tokens" and job.cache == "first-block":
            raise RequestError(
                f"{self._team.size} processes share the tokens of a pass, which does not go with FirstBlockCache: "
                "choose another step cache, or none"
            )
        return self._team.in_mode(mode)

    def _held(self, plan: Plan) -> Plan | None:
        """The plan for the job with the profile that is loaded; None where that does not fit, or is much slower."""
        if self._plan is None or self._pipeline is None:
            return None
        held = self._fitter.plan_with(self._plan.estimate.profile, plan.job)
        if held is None or held.estimate.step_s > _WORTH_LOADING * plan.estimate.step_s:
            return None
        return held

    def _load(self, plan: Plan, shared: Team | None, note: Note) -> None:
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
                if not ran_out(error):
                    raise
                alone = shared is None or shared.size == 1
                following = self._fitter.lower(plan) if alone else None
            # Outside of the handler, which keeps alive what did not fit.
            if following is None:
                raise RequestError(
                    f"the model does not fit into the memory of this device with the profile {profile.name}, and "
                    "there is none that needs less: choose a smaller model (gguf-q4), or close what else uses it"
                )
            note(f"the model does not fit with the profile {profile.name}; {following.sentence}")
            plan = following

    def _loaded(self, profile: Profile, shared: Team | None, note: Note) -> FantasyPortraitPipeline:
        """The pipeline with that profile. The others load it too, once there is nothing left that could be refused."""
        choice = settle(self._files, self._placement, profile, shared)
        for text in choice.notes:
            note(text)
        placement = replace(self._placement, attention=choice.name)
        if shared is None or shared.size == 1:
            return load_pipeline(self._files, placement, profile, self._cache, shared, note, self._cancel)
        transformer_folder(self._files, placement, profile, note, self._cancel)
        shared.send(LoadOrder(self._files, placement, profile, self._cache, shared.mode))
        shared.meet()
        # From here on nobody can stop before the others do.
        return load_pipeline(self._files, placement, profile, self._cache, shared, note)
