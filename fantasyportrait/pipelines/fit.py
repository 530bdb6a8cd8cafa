"""Does it run on this machine, and how long does it take: one model's plans for jobs of any size."""

import math
import shutil
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from fantasyportrait.core.errors import RequestError
from fantasyportrait.core.locked_folder import remove_stale
from fantasyportrait.pipelines.footprint import Networks, folder_configs, published_configs
from fantasyportrait.pipelines.mapped_weights import has_copy
from fantasyportrait.pipelines.time_windows import WINDOW_FRAMES
from fantasyportrait.runtime.choose import choose, estimates, lower
from fantasyportrait.runtime.estimate import Estimate, Factor
from fantasyportrait.runtime.job_needs import JobSize, Surroundings
from fantasyportrait.runtime.machine import GIB, Machine, measure_machine
from fantasyportrait.runtime.memory import free_memory, ran_out
from fantasyportrait.runtime.place import device_of, precision_of
from fantasyportrait.runtime.placement import Placement
from fantasyportrait.runtime.probes import Rates, measure_rates
from fantasyportrait.runtime.profiles import Profile
from fantasyportrait.runtime.speed_log import Run, RunKey, SpeedLog
from fantasyportrait.runtime.team import Team

SPEED_LOG = "speeds.json"
_LESS = 0.95


@dataclass(frozen=True)
class Plan:
    """How a job is to be done.

    Attributes:
        estimate: the profile, and what is expected of it.
        job: as it is done.
        longest_pass: up to so many frames at once; less than was asked for where only that fits.
        sentence: all of it in words.
    """

    estimate: Estimate
    job: JobSize
    longest_pass: int
    sentence: str


class Fitter:
    """Plans for one model on this machine. It is measured once, when the first plan is asked for, and before any
    model is loaded.

    Args:
        folder: an assembled one, of which only configs are read; None for the published sizes.
        gguf: a file that replaces the transformer's weights.
        placement: a profile named there is the one that is planned.
        cache: where the times of past runs are kept.
        team: the processes that share each step, and those of this machine its memory; None works alone.
    """

    def __init__(
        self, folder: Path | None, gguf: Path | None, placement: Placement, cache: Path, team: Team | None = None
    ) -> None:
        self._folder, self._gguf, self._placement = folder, gguf, placement
        self._processes, self._neighbours = (1, 1) if team is None else (team.size, team.local_size)
        self._log = SpeedLog(cache / SPEED_LOG)

    def plan(self, job: JobSize) -> Plan:
        """The profile that is wanted, or the best one.

        Where frames that shall be sampled in one pass fit no profile, windows of 81 are tried. Raises `RequestError`
        that says what is missing.
        """
        try:
            return self._chosen(job)
        except RequestError:
            if not WINDOW_FRAMES < job.frames <= job.longest_pass:
                raise
        shorter = replace(job, longest_pass=WINDOW_FRAMES)
        plan = self._chosen(shorter)
        note = f"{job.frames} frames do not fit in one pass: they are sampled in windows of {WINDOW_FRAMES}"
        return replace(plan, sentence=f"{plan.sentence}; {note}")

    def _chosen(self, job: JobSize) -> Plan:
        table = self.table(job)
        plan = self._planned(choose(table, self._placement.profile), job)
        faster = [each for each in table if each.short_disk and each.total_s < plan.estimate.total_s]
        if not faster:
            return plan
        return replace(plan, sentence=f"{plan.sentence}; {faster[0].profile.name} would be faster, but {faster[0].why}")

    def plan_with(self, profile: Profile, job: JobSize) -> Plan | None:
        """The plan with that profile; None where the job does not fit it."""
        (found,) = (each for each in self.table(job) if each.profile == profile)
        return self._planned(found, job) if found.fits else None

    def lower(self, plan: Plan) -> Plan | None:
        """The same job with clearly less of the device's memory; None where nothing needs less."""
        found = lower(self.table(plan.job), plan.estimate)
        if not self.machine.one_memory:
            # What was not enough once is not tried again: the next plans stay below it.
            most = min(self.machine.vram_gib, _LESS * plan.estimate.vram_gib)
            self.__dict__["machine"] = replace(self.machine, vram_gib=most)
        return None if found is None else self._planned(found, plan.job)

    def table(self, job: JobSize) -> tuple[Estimate, ...]:
        """What to expect of every profile, in the table's order."""
        activations = self._networks.activations(job)
        around = Surroundings(self.machine, self.rates, self._networks.footprint, activations, job)

        def factor(profile: Profile) -> Factor:
            return self._log.factor(self._key(profile, job), _pixels(job))

        return estimates(around, factor, self._placement.compile)

    def look_again(self) -> None:
        """Measure the free memory anew for the next plan; when nothing of the model is loaded."""
        self.__dict__.pop("machine", None)

    def record(self, plan: Plan, step_s: float) -> None:
        """Remember how many seconds a step took, for later plans."""
        key = self._key(plan.estimate.profile, plan.job)
        self._log.record(Run(key, plan.estimate.raw_step_s, step_s, _pixels(plan.job)))

    @cached_property
    def machine(self) -> Machine:
        """Free memory and the card, as they were when first asked for."""
        self.rates  # noqa: B018 - first, since what the probes load on the card stays there
        free_memory()
        found = measure_machine(device_of(self._placement))
        found = replace(found, disk_gib=self._disk_gib())
        said = found.with_memory(self._placement.vram_gib, self._placement.ram_gib)
        return said.shared_by(self._neighbours)

    @cached_property
    def rates(self) -> Rates:
        """Two or three seconds of measuring on a card."""
        device = device_of(self._placement)
        try:
            return measure_rates(device, precision_of(self._placement, device))
        except RuntimeError as error:
            if not ran_out(error):
                raise
        raise RequestError(f"the memory of {device} is full, so it cannot even be measured: close what else uses it")

    @cached_property
    def _networks(self) -> Networks:
        configs = published_configs() if self._folder is None else folder_configs(self._folder)
        return Networks(configs, precision_of(self._placement, device_of(self._placement)), self._gguf)

    def _disk_gib(self) -> float:
        """What the disk has left for the copy of the transformer that is mapped; endless where there is nothing to
        copy, or the copy is there. What a killed process left of one is removed first."""
        precision = precision_of(self._placement, device_of(self._placement))
        if self._folder is None or self._gguf is not None or has_copy(self._folder / "transformer", precision):
            return math.inf
        remove_stale(self._folder)
        return shutil.disk_usage(self._folder).free / GIB

    def _key(self, profile: Profile, job: JobSize) -> RunKey:
        settings = self._placement
        precision = str(precision_of(settings, device_of(settings))).removeprefix("torch.")
        return RunKey(
            device=self.machine.name,
            profile=profile.name,
            model=self._networks.footprint.name,
            precision=precision,
            attention=settings.attention
            if settings.parallel == "none"
            else f"{settings.attention} {settings.parallel}",
            compiled=settings.compile,
            cache=job.cache,
            processes=self._processes,
        )

    def _planned(self, found: Estimate, job: JobSize) -> Plan:
        return Plan(found, job, job.longest_pass, _sentence(self.machine, found, job))


def _pixels(job: JobSize) -> int:
    return job.width * job.height * job.frames


def _sentence(machine: Machine, found: Estimate, job: JobSize) -> str:
    host = max(found.ram_gib, found.load_gib)
    memory = f"about {found.vram_gib:.1f} of {machine.vram_gib:.1f} GiB"
    memory += " of memory" if machine.one_memory else f" on the card, {host:.0f} of {machine.ram_gib:.0f} GiB of memory"
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
