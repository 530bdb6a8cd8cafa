"""The pipeline of one model on this machine: loaded as the job and the machine allow, and one profile lower if need be.
"""

from collections.abc import Callable
from pathlib import Path

import torch

from fantasyportrait.core.errors import RequestError
from fantasyportrait.pipelines.fit import Fitter, Plan
from fantasyportrait.pipelines.loading import ModelFiles, load_pipeline
from fantasyportrait.pipelines.portrait_pipeline import FantasyPortraitPipeline
from fantasyportrait.runtime.estimate import JobSize
from fantasyportrait.runtime.memory import free_memory
from fantasyportrait.runtime.placement import Placement
from fantasyportrait.runtime.quiet import quiet_libraries

# Loading takes minutes, so a pipeline stays unless another profile would be so many times faster.
_WORTH_LOADING = 1.5


class Ladder:
    """Holds at most one pipeline. One job at a time.

    Args:
        files: of the model.
        placement: this machine's settings; a named profile is the first one tried.
        cache: folder of prompts' rows and of the times of earlier runs.
    """

    def __init__(self, files: ModelFiles, placement: Placement, cache: Path) -> None:
        self._files, self._placement, self._cache = files, placement, cache
        self._fitter = Fitter(files.folder, files.gguf, placement, cache)
        self._pipeline: FantasyPortraitPipeline | None = None
        self._plan: Plan | None = None

    @property
    def pipeline(self) -> FantasyPortraitPipeline:
        """The pipeline, placed; after `ready`."""
        if self._pipeline is None:
            raise RuntimeError("no pipeline is loaded: call ready first")
        return self._pipeline

    def ready(self, job: JobSize, note: Callable[[str], None]) -> Plan:
        """Load what the job asks for, unless what is loaded does for it; `note` is told what it will take.

        Raises `RequestError` for a job that fits no profile.
        """
        plan = self._fitter.plan(job)
        held = self._held(plan, job)
        note((held or plan).sentence)
        if held is None:
            self._load(plan, note)
        else:
            self._plan = held
        return self._planned

    def lower(self, note: Callable[[str], None]) -> bool:
        """Load one profile lower; False where there is none."""
        plan = self._fitter.lower(self._planned)
        if plan is None:
            return False
        note(
            f"the profile {self._planned.estimate.profile.name} does not fit into the memory of this device after "
            f"all: going on with {plan.sentence}"
        )
        self._load(plan, note)
        return True

    def record(self, step_s: float) -> None:
        """Remember how long a step of this plan took, for the next estimate."""
        self._fitter.record(self._planned, step_s)

    @property
    def _planned(self) -> Plan:
        if self._plan is None:
            raise RuntimeError("nothing is planned: call ready first")
        return self._plan

    def _held(self, plan: Plan, job: JobSize) -> Plan | None:
        """The plan for the job with the profile that is loaded; None where that does not fit, or is much slower."""
        if self._plan is None or self._pipeline is None:
            return None
        held = self._fitter.plan_with(self._plan.estimate.profile.name, job)
        if held is None or held.estimate.step_s > _WORTH_LOADING * plan.estimate.step_s:
            return None
        return held

    def _load(self, plan: Plan, note: Callable[[str], None]) -> None:
        """Load the plan's profile, or the first lower one that fits."""
        while True:
            # The old one goes first: two of them do not fit.
            self._pipeline, self._plan = None, plan
            free_memory()
            profile = plan.estimate.profile
            try:
                with quiet_libraries():
                    self._pipeline = load_pipeline(self._files, self._placement, profile, self._cache)
                return
            except torch.OutOfMemoryError:
                following = self._fitter.lower(plan)
            # Outside of the handler, which keeps alive what did not fit.
            if following is None:
                raise RequestError(
                    f"the model does not fit into the memory of this device with the profile {profile.name}, and "
                    "none needs less: choose a smaller model (gguf-q4), or close what else uses the device"
                )
            note(f"the model does not fit with the profile {profile.name}: trying {following.sentence}")
            plan = following
