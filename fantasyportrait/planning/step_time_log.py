"""Measured step times of past runs on this machine, a small JSON file that corrects later estimates."""

import json
import statistics
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from fantasyportrait.core.atomic_write import atomic_write
from fantasyportrait.planning.estimate import TimeCorrection

_RUNS = 20
_LAST = 5
# A run counts for jobs up to so many times larger or smaller.
_LIKE = 8


@dataclass(frozen=True)
class TimingKey:
    """The conditions of a run that decide its step time, apart from the size of the job.

    `processes` is the number of processes that share each step.
    """

    device: str
    profile: str
    model: str
    precision: str
    attention: str
    compiled: bool
    cache: str
    processes: int = 1


@dataclass(frozen=True)
class StepTiming:
    """A finished run: predicted (uncorrected) and measured seconds a step, and the pixels of all frames."""

    key: TimingKey
    predicted_s: float
    measured_s: float
    pixels: int


@dataclass(frozen=True)
class StepTimeLog:
    """The last runs, in `file`. A damaged file counts as empty; if it cannot be written, the run is not recorded.

    Each process replaces the whole file: of two runs that end at the same moment, one may be lost.
    """

    file: Path

    def correction(self, key: TimingKey, pixels: int) -> TimeCorrection:
        """The median ratio of measured to predicted seconds of the last runs with this key, for a job of `pixels`.

        Only runs of a similar size count, since the fixed cost dominates small ones. Without any, the ratio of the
        other profiles' runs, so that a profile without runs does not look faster than one with runs; else 1.
        """
        runs = [run for run in self.runs() if pixels / _LIKE <= run.pixels <= pixels * _LIKE]
        own = _median(run for run in runs if run.key == key)
        if own is not None:
            return TimeCorrection(own, measured=True)
        near = _median(run for run in runs if replace(run.key, profile=key.profile) == key)
        return TimeCorrection(1.0 if near is None else near)

    def record(self, run: StepTiming) -> None:
        """Add a run and drop the oldest ones; a time of 0 or less is ignored."""
        if min(run.predicted_s, run.measured_s) <= 0:
            return
        rows = [asdict(each) for each in (*self.runs(), run)[-_RUNS:]]
        with suppress(OSError):  # the log is optional
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(self.file) as made:
                made.write_text(json.dumps({"runs": rows}, indent=1), encoding="utf-8")

    def runs(self) -> tuple[StepTiming, ...]:
        """The runs of the file, oldest first."""
        try:
            rows = json.loads(self.file.read_text(encoding="utf-8"))["runs"]
            return tuple(
                StepTiming(
                    TimingKey(**row["key"]), float(row["predicted_s"]), float(row["measured_s"]), int(row["pixels"])
                )
                for row in rows
            )
        except (OSError, ValueError, KeyError, TypeError):
            return ()


def _median(runs: Iterable[StepTiming]) -> float | None:
    ratios = [run.measured_s / run.predicted_s for run in runs][-_LAST:]
    return statistics.median(ratios) if ratios else None
