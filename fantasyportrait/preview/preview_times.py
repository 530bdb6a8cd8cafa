"""Times of the preview engine's runs on this machine, a small JSON file from which later runs are estimated."""

import json
import math
import statistics
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from fantasyportrait.core.atomic_write import atomic_write

PREVIEW_TIME_LOG = "preview_speeds.json"
_RUNS = 40
# The median of so many runs of the most similar size is taken.
_NEAREST = 5
# A run counts for videos up to so many times larger or smaller.
_LIKE = 8


@dataclass(frozen=True)
class PreviewWork:
    """What decides the time of a run: the video's size in pixels, its frames, and whether a side by side is made."""

    width: int
    height: int
    frames: int
    side_by_side: bool

    @property
    def pixels(self) -> int:
        """The pixels of all frames."""
        return self.width * self.height * self.frames


@dataclass(frozen=True)
class PreviewTimeLog:
    """The last runs, in `file`. A damaged file counts as empty; if it cannot be written, the run is not recorded.

    Each process replaces the whole file: of two runs that end at the same moment, one may be lost.
    """

    file: Path

    def expected_s(self, work: PreviewWork) -> float | None:
        """Seconds from the first frame to the finished files, scaled by the pixels of all frames; None without runs.

        Only runs of a similar size count, since fixed costs dominate short ones, with a side by side where one is made.
        """
        alike = [
            (run, seconds)
            for run, seconds in self.runs()
            if run.side_by_side == work.side_by_side and work.pixels / _LIKE <= run.pixels <= work.pixels * _LIKE
        ]
        alike.reverse()  # the later of two equally similar runs counts
        alike.sort(key=lambda each: abs(math.log(each[0].pixels / work.pixels)))
        rates = [seconds / run.pixels for run, seconds in alike[:_NEAREST]]
        return statistics.median(rates) * work.pixels if rates else None

    def record(self, work: PreviewWork, seconds: float) -> None:
        """Add a run and drop the oldest ones; a time of 0 or less is ignored."""
        if seconds <= 0:
            return
        rows = [{**asdict(run), "seconds": each} for run, each in (*self.runs(), (work, seconds))[-_RUNS:]]
        with suppress(OSError):  # the log is optional
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(self.file) as made:
                made.write_text(json.dumps({"runs": rows}, indent=1), encoding="utf-8")

    def runs(self) -> tuple[tuple[PreviewWork, float], ...]:
        """Each run with its seconds, oldest first."""
        try:
            rows = json.loads(self.file.read_text(encoding="utf-8"))["runs"]
            found = tuple((_work(row), float(row["seconds"])) for row in rows)
        except (OSError, ValueError, KeyError, TypeError):
            return ()
        return found if all(work.pixels > 0 and 0 < seconds < math.inf for work, seconds in found) else ()


def _work(row: dict[str, object]) -> PreviewWork:
    width, height, frames = (int(str(row[name])) for name in ("width", "height", "frames"))
    return PreviewWork(width, height, frames, bool(row["side_by_side"]))
