"""Does it run on this machine, and how long does it take: one model's plans for jobs of any size."""

import math
import shutil
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from fantasyportrait.core.errors import RequestError
from fantasyportrait.core.locked_folder import remove_stale
from fantasyportrait.pipelines.cast_weights import has_cast_weights
from fantasyportrait.pipelines.time_windows import WINDOW_FRAMES
from fantasyportrait.planning.estimate import Estimate, TimeCorrection
from fantasyportrait.planning.machine import GIB, Machine, measure_machine
from fantasyportrait.planning.meta_networks import MetaNetworks, original_configs, read_configs
from fantasyportrait.planning.profile_selection import estimate_profiles, fall_back, select_profile
from fantasyportrait.planning.step_time_log import StepTimeLog, StepTiming, TimingKey
from fantasyportrait.planning.throughput import Throughput, measure_throughput
from fantasyportrait.planning.workload import CostInputs, Workload
from fantasyportrait.runtime.memory import free_memory, is_out_of_memory
from fantasyportrait.runtime.offload import resolve_device, resolve_dtype
from fantasyportrait.runtime.process_group import ProcessGroup
from fantasyportrait.runtime.profiles import Profile
from fantasyportrait.runtime.runtime_config import RuntimeConfig

STEP_TIME_LOG = "speeds.json"
_FALLBACK_SHARE = 0.95


@dataclass(frozen=True)
class ExecutionPlan:
    """How a job is to be done.

    Attributes:
        estimate: the profile, and what is expected of it.
        job: as it is done.
        max_window_frames: up to so many frames at once; less than was asked for where only that fits.
        sentence: all of it in words.
    """

    estimate: Estimate
    job: Workload
    max_window_frames: int
    sentence: str


class Planner:
    """Plans for one model on this machine. It is measured once, when the first plan is asked for, and before any
    model is loaded.

    Args:
        folder: an assembled one, of which only configs are read; None for the original sizes.
        gguf: a file that replaces the transformer's weights.
        runtime_config: a profile named there is the one that is planned.
        cache: where the times of past runs are kept.
        process_group: the processes that share each step, and those of this machine its memory; None works alone.
    """

    def __init__(
        self,
        folder: Path | None,
        gguf: Path | None,
        runtime_config: RuntimeConfig,
        cache: Path,
        process_group: ProcessGroup | None = None,
    ) -> None:
        self._folder, self._gguf, self._runtime_config = folder, gguf, runtime_config
        self._processes, self._local_processes = (
            (1, 1) if process_group is None else (process_group.size, process_group.local_size)
        )
        self._log = StepTimeLog(cache / STEP_TIME_LOG)

    def plan(self, job: Workload) -> ExecutionPlan:
        """The profile that is wanted, or the best one.

        Where frames that shall be sampled in one pass fit no profile, windows of 81 are tried. Raises `RequestError`
        that says what is missing.
        """
        try:
            return self._chosen(job)
        except RequestError:
            if not WINDOW_FRAMES < job.frames <= job.max_window_frames:
                raise
        shorter = replace(job, max_window_frames=WINDOW_FRAMES)
        plan = self._chosen(shorter)
        note = f"{job.frames} frames do not fit in one pass: they are sampled in windows of {WINDOW_FRAMES}"
        return replace(plan, sentence=f"{plan.sentence}; {note}")

    def _chosen(self, job: Workload) -> ExecutionPlan:
        table = self.table(job)
        plan = self._planned(select_profile(table, self._runtime_config.profile), job)
        faster = [each for each in table if each.lacks_disk and each.total_s < plan.estimate.total_s]
        if not faster:
            return plan
        return replace(
            plan, sentence=f"{plan.sentence}; {faster[0].profile.name} would be faster, but {faster[0].reason}"
        )

    def plan_with(self, profile: Profile, job: Workload) -> ExecutionPlan | None:
        """The plan with that profile; None where the job does not fit it."""
        (found,) = (each for each in self.table(job) if each.profile == profile)
        return self._planned(found, job) if found.fits else None

    def fall_back(self, plan: ExecutionPlan) -> ExecutionPlan | None:
        """The same job with clearly less of the device's memory; None where nothing needs less."""
        found = fall_back(self.table(plan.job), plan.estimate)
        if not self.machine.unified_memory:
            # What was not enough once is not tried again: the next plans stay below it.
            most = min(self.machine.vram_gib, _FALLBACK_SHARE * plan.estimate.vram_gib)
            self.__dict__["machine"] = replace(self.machine, vram_gib=most)
        return None if found is None else self._planned(found, plan.job)

    def table(self, job: Workload) -> tuple[Estimate, ...]:
        """What to expect of every profile, in the table's order."""
        activations = self._networks.activations(job)
        inputs = CostInputs(self.machine, self.throughput, self._networks.model_size, activations, job)

        def correction(profile: Profile) -> TimeCorrection:
            return self._log.correction(self._key(profile, job), _pixels(job))

        return estimate_profiles(inputs, correction, self._runtime_config.compile)

    def refresh(self) -> None:
        """Measure the free memory anew for the next plan; when nothing of the model is loaded."""
        self.__dict__.pop("machine", None)

    def record(self, plan: ExecutionPlan, step_s: float) -> None:
        """Remember how many seconds a step took, for later plans."""
        key = self._key(plan.estimate.profile, plan.job)
        self._log.record(StepTiming(key, plan.estimate.raw_step_s, step_s, _pixels(plan.job)))

    @cached_property
    def machine(self) -> Machine:
        """Free memory and the GPU, as they were when first asked for."""
        self.throughput  # noqa: B018 - first, since what the probes load on the GPU stays there
        free_memory()
        found = measure_machine(resolve_device(self._runtime_config))
        found = replace(found, disk_gib=self._disk_gib())
        said = found.with_memory(self._runtime_config.vram_gib, self._runtime_config.ram_gib)
        return said.shared_by(self._local_processes)

    @cached_property
    def throughput(self) -> Throughput:
        """Two or three seconds of measuring on a GPU."""
        device = resolve_device(self._runtime_config)
        try:
            return measure_throughput(device, resolve_dtype(self._runtime_config, device))
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
        raise RequestError(f"the memory of {device} is full, so it cannot even be measured: close what else uses it")

    @cached_property
    def _networks(self) -> MetaNetworks:
        configs = original_configs() if self._folder is None else read_configs(self._folder)
        return MetaNetworks(
            configs, resolve_dtype(self._runtime_config, resolve_device(self._runtime_config)), self._gguf
        )

    def _disk_gib(self) -> float:
        """What the disk has left for the copy of the transformer that is mapped; endless where there is nothing to
        copy, or the copy is there. What a killed process left of one is removed first."""
        precision = resolve_dtype(self._runtime_config, resolve_device(self._runtime_config))
        if self._folder is None or self._gguf is not None or has_cast_weights(self._folder / "transformer", precision):
            return math.inf
        remove_stale(self._folder)
        return shutil.disk_usage(self._folder).free / GIB

    def _key(self, profile: Profile, job: Workload) -> TimingKey:
        settings = self._runtime_config
        precision = str(resolve_dtype(settings, resolve_device(settings))).removeprefix("torch.")
        return TimingKey(
            device=self.machine.name,
            profile=profile.name,
            model=self._networks.model_size.name,
            precision=precision,
            attention=settings.attention
            if settings.parallel == "none"
            else f"{settings.attention} {settings.parallel}",
            compiled=settings.compile,
            cache=job.cache,
            processes=self._processes,
        )

    def _planned(self, found: Estimate, job: Workload) -> ExecutionPlan:
        return ExecutionPlan(found, job, job.max_window_frames, _sentence(self.machine, found, job))


def _pixels(job: Workload) -> int:
    return job.width * job.height * job.frames


def _sentence(machine: Machine, found: Estimate, job: Workload) -> str:
    host = max(found.ram_gib, found.load_gib)
    memory = f"about {found.vram_gib:.1f} of {machine.vram_gib:.1f} GiB"
    memory += (
        " of memory" if machine.unified_memory else f" on the GPU, {host:.0f} of {machine.ram_gib:.0f} GiB of memory"
    )
    source = "from earlier runs here" if found.measured else "estimated, no run measured yet"
    return (
        f"{machine.name}, profile {found.profile.name}: {memory}, about {_duration(found.total_s)} "
        f"({job.steps} steps of {_duration(found.step_s)}; {source})"
    )


def _duration(seconds: float) -> str:
    """0.4 s, 17 s, 9 min, 2 h 5 min."""
    if seconds < 10:
        return f"{max(seconds, 0.1):.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
