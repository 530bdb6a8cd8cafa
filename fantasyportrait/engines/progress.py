"""The progress of a stage as `Step` events, at most ten a second, with the remaining time."""

import time
from collections.abc import Callable

from fantasyportrait.schema.events import Event, StageName, Step

MIN_INTERVAL_S = 0.1
WARMUP_S = 0.5


class Progress:
    """The progress of one stage. `update` may be called for every frame; most calls emit no event."""

    def __init__(
        self,
        emit: Callable[[Event], None],
        stage: StageName,
        total: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._emit, self._stage, self.total, self._clock = emit, stage, max(total, 1), clock
        self._begin = clock()
        self._last = float("-inf")
        self._first: tuple[int, float] | None = None

    def update(self, done: int) -> None:
        """Report that `done` of `total` steps are done."""
        now = self._clock()
        done = min(done, self.total)
        if done < self.total and now - self._last < MIN_INTERVAL_S:
            return
        self._last = now
        elapsed = now - self._begin
        known = done > 0 and (elapsed >= WARMUP_S or done == self.total)
        self._emit(Step(self._stage, done, self.total, self._left(done, now) if known else None))

    def _left(self, done: int, now: float) -> float:
        """Seconds at the rate since the first step, which may have waited for preparations."""
        self._first = self._first or (done, now)
        first, since = self._first
        rate = (now - since) / (done - first) if done > first else (now - self._begin) / done
        return rate * (self.total - done)
