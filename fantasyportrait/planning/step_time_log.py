"""How long steps really took on this machine: a small JSON file that makes the next estimate better."""

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
# A run tells something about jobs up to so many times as large or small.
_LIKE = 8


@dataclass(frozen=True)
class TimingKey:
    """What the speed of a run depends on, apart from its size: the GPU's name and what computes, and how.

    `processes` are those that share each step.
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
    """A finished run: seconds a step before any correction, as measured, and the pixels of all its frames."""

    key: TimingKey
    predicted_s: float
    measured_s: float
    pixels: int


@dataclass(frozen=True)
class StepTimeLog:
    """The last runs, in `file`. A damaged file counts as an empty one, and one that cannot be written costs only that.

    Processes replace the file as a whole: of two runs that end at the same moment one may be forgotten.
    """

    file: Path

    def correction(self, key: TimingKey, pixels: int) -> TimeCorrection:
        """Median of measured over predicted seconds of the last runs with this key, for a job of so many pixels.

        Only runs of about the same size count: of a small one most of the time goes to what does not grow.

        Without any, that of all other profiles' runs, so that a profile that never ran does not look faster than those
        that did; 1 without any run at all.
        """
        runs = [run for run in self.runs() if pixels / _LIKE <= run.pixels <= pixels * _LIKE]
        own = _median(run for run in runs if run.key == key)
        if own is not None:
            return TimeCorrection(own, measured=True)
        near = _median(run for run in runs if replace(run.key, profile=key.profile) == key)
        return TimeCorrection(1.0 if near is None else near)

    def record(self, run: StepTiming) -> None:
        """Add a run and forget the oldest ones; impossible numbers are left out."""
        if min(run.predicted_s, run.measured_s) <= 0:
            return
        rows = [asdict(each) for each in (*self.runs(), run)[-_RUNS:]]
        with suppress(OSError):  # a cache is never in the way
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
