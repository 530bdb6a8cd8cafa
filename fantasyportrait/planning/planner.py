"""The planner: for one model on this machine, which profile a job runs with, and how long it takes."""

import math
import shutil
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch

from fantasyportrait.core.errors import RequestError
from fantasyportrait.core.hosting import on_zero_gpu
from fantasyportrait.core.locked_folder import remove_stale
from fantasyportrait.core.sentences import Sentence
from fantasyportrait.pipelines.cast_weights import has_cast_weights
from fantasyportrait.pipelines.time_windows import WINDOW_FRAMES
from fantasyportrait.planning.estimate import Estimate, TimeCorrection
from fantasyportrait.planning.machine import GIB, Machine, measure_machine, zero_gpu_machine
from fantasyportrait.planning.meta_networks import MetaNetworks, original_configs, read_configs
from fantasyportrait.planning.profile_selection import estimate_profiles, fall_back, select_profile
from fantasyportrait.planning.step_time_log import StepTimeLog, StepTiming, TimingKey
from fantasyportrait.planning.throughput import ZERO_GPU_THROUGHPUT, Throughput, measure_throughput
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
    """How to run a job.

    Attributes:
        estimate: the profile, its peak memory and time.
        job: the job as it runs: in windows of 81 frames if only those fit.
        sentence: the plan in words.
    """

    estimate: Estimate
    job: Workload
    sentence: str


class Planner:
    """Plans jobs for one model on this machine, which is measured once, at the first plan, before a model is loaded.

    Args:
        folder: assembled folder, of which only configs are read; None for the original sizes.
        gguf: file that replaces the transformer's weights.
        runtime_config: this machine's settings; a profile named there is the only one considered.
        cache: folder of the log of step times.
        process_group: the processes that share each step, and on one machine its memory; None for one process.
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
        """The plan with the wanted profile, or with the best one.

        If no profile fits the job in one window, windows of 81 frames are tried. Raises `RequestError` that names what
        is missing.
        """
        try:
            return self._chosen(job)
        except RequestError:
            if job.window_frames <= WINDOW_FRAMES:
                raise
        plan = self._chosen(job.in_windows())
        text = "{plan}; {frames} frames do not fit in one pass: they are sampled in windows of {window}"
        return replace(plan, sentence=Sentence(text, plan=plan.sentence, frames=job.frames, window=WINDOW_FRAMES))

    def _chosen(self, job: Workload) -> ExecutionPlan:
        table = self.table(job)
        plan = self._planned(select_profile(table, self._runtime_config.profile), job)
        faster = [each for each in table if each.lacks_disk and each.total_s < plan.estimate.total_s]
        if not faster:
            return plan
        text, other = "{plan}; {name} would be faster, but {reason}", faster[0]
        return replace(plan, sentence=Sentence(text, plan=plan.sentence, name=other.profile.name, reason=other.reason))

    def plan_with(self, profile: Profile, job: Workload) -> ExecutionPlan | None:
        """The plan with that profile; None if the job does not fit it."""
        (found,) = (each for each in self.table(job) if each.profile == profile)
        return self._planned(found, job) if found.fits else None

    def fall_back(self, plan: ExecutionPlan) -> ExecutionPlan | None:
        """The plan for the same job with clearly less of the device's memory; None if no profile needs less."""
        found = fall_back(self.table(plan.job), plan.estimate)
        if not self.machine.unified_memory:
            # Later plans stay below the peak that did not fit.
            most = min(self.machine.vram_gib, _FALLBACK_SHARE * plan.estimate.vram_gib)
            self.__dict__["machine"] = replace(self.machine, vram_gib=most)
        return None if found is None else self._planned(found, plan.job)

    def table(self, job: Workload) -> tuple[Estimate, ...]:
        """The estimate of every profile, in the table's order."""
        activations = self._networks.activations(job)
        inputs = CostInputs(self.machine, self.throughput, self._networks.model_size, activations, job)

        def correction(profile: Profile) -> TimeCorrection:
            return self._log.correction(self._key(profile, job), _pixels(job))

        return estimate_profiles(inputs, correction, self._runtime_config.compile)

    def refresh(self) -> None:
        """Measure the available memory again at the next plan. Call it while no model is loaded."""
        self.__dict__.pop("machine", None)

    def record(self, plan: ExecutionPlan, step_s: float) -> None:
        """Log the measured seconds of a step for later plans."""
        key = self._key(plan.estimate.profile, plan.job)
        self._log.record(StepTiming(key, plan.estimate.raw_step_s, step_s, _pixels(plan.job)))

    @cached_property
    def machine(self) -> Machine:
        """The machine with its available memory, measured at the first use."""
        device = resolve_device(self._runtime_config)
        if _lent(device):
            return zero_gpu_machine(device).with_memory(self._runtime_config.vram_gib, self._runtime_config.ram_gib)
        self.throughput  # noqa: B018 - first, since the kernels that it loads stay on the GPU
        free_memory()
        found = measure_machine(device)
        found = replace(found, disk_gib=self._disk_gib())
        given = found.with_memory(self._runtime_config.vram_gib, self._runtime_config.ram_gib)
        return given.shared_by(self._local_processes)

    @cached_property
    def throughput(self) -> Throughput:
        """The machine's throughput, measured for two to three seconds on a GPU."""
        device = resolve_device(self._runtime_config)
        if _lent(device):
            return ZERO_GPU_THROUGHPUT
        try:
            return measure_throughput(device, resolve_dtype(self._runtime_config, device))
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
        raise RequestError(
            "the memory of {device} is full, so it cannot even be measured: close what else uses it", device=device
        )

    @cached_property
    def _networks(self) -> MetaNetworks:
        configs = original_configs() if self._folder is None else read_configs(self._folder)
        return MetaNetworks(
            configs, resolve_dtype(self._runtime_config, resolve_device(self._runtime_config)), self._gguf
        )

    def _disk_gib(self) -> float:
        """Free disk space for the memory-mapped copy of the transformer; infinite if no copy is needed, or it exists.

        Partial copies of killed processes are removed first.
        """
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
            cache=job.sampling.step_cache,
            processes=self._processes,
        )

    def _planned(self, found: Estimate, job: Workload) -> ExecutionPlan:
        return ExecutionPlan(found, job, _sentence(self.machine, found, job))


def _lent(device: torch.device) -> bool:
    """Whether the device is there only within a call, so that nothing can be measured before."""
    return on_zero_gpu() and device.type != "cpu"


def _pixels(job: Workload) -> int:
    return job.width * job.height * job.frames


def _sentence(machine: Machine, found: Estimate, job: Workload) -> str:
    used = {"vram": found.vram_gib, "total": machine.vram_gib}
    if machine.unified_memory:
        memory = Sentence("about {vram:.1f} of {total:.1f} GiB of memory", **used)
    else:
        text = "about {vram:.1f} of {total:.1f} GiB on the GPU, {host:.0f} of {ram:.0f} GiB of memory"
        memory = Sentence(text, **used, host=max(found.ram_gib, found.load_gib), ram=machine.ram_gib)
    source = "from earlier runs here" if found.measured else "estimated, no run measured yet"
    return Sentence(
        "{machine}, profile {profile}: {memory}, about {duration} ({steps} steps of {step}; {source})",
        machine=machine.name,
        profile=found.profile.name,
        memory=memory,
        duration=_duration(found.total_s),
        steps=job.sampling.num_inference_steps,
        step=_duration(found.step_s),
        source=source,
    )


def _duration(seconds: float) -> str:
    """0.4 s, 17 s, 9 min, 2 h 5 min."""
    if seconds < 10:
        return f"{max(seconds, 0.1):.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
