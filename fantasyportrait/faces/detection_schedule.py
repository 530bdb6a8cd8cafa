"""Which frames of a clip run the face detector for people who are not tracked yet, and how thoroughly."""

from dataclasses import dataclass
from typing import Literal

Search = Literal["quick", "thorough", "newcomers"]
"""`newcomers` is a thorough search while all known people are tracked; it does not enlarge small frames."""

# A quick search (5 ms) misses small and turned faces, a thorough one (80 ms) finds them.
_QUICK_EVERY = 16
# Seconds after a person was lost in which every frame is searched quickly.
_MISSED_S = 2.0
# Seconds between thorough searches, first and at most, while none, fewer than before, or all people are tracked.
_NONE_S, _FEWER_S, _ALL_S = (1 / 32, 1.0), (0.25, 2.0), (2.0, 2.0)


@dataclass
class DetectionSchedule:
    """Decides when to search; the waiting time doubles while a search finds nothing.

    Attributes:
        followed: how many people were followed through the last frame.
        most: how many were followed at the same time so far.
        next_s: time of the next thorough search.
        wait_s: time between the last two.
        lost_s: time at which a person was lost last.
    """

    followed: int = 0
    most: int = 0
    next_s: float = 0.0
    wait_s: float = 0.0
    lost_s: float = float("-inf")

    def search(self, frame: int, time_s: float, followed: int, cut: bool) -> Search | None:
        """Return how to search this frame, through which `followed` people were tracked; None for no search."""
        if followed < self.followed:
            self.lost_s = time_s
            first_s, _ = self._waits(followed)
            self.wait_s = first_s / 2
            self.next_s = min(self.next_s, time_s + first_s)
        if cut or time_s >= self.next_s:
            first_s, most_s = self._waits(followed)
            self.wait_s = min(max(2 * self.wait_s, first_s), most_s)
            self.next_s = time_s + self.wait_s
            return "newcomers" if followed and followed >= self.most and not cut else "thorough"
        missing = followed == 0 or (time_s - self.lost_s <= _MISSED_S and followed < self.most)
        return "quick" if missing or frame % _QUICK_EVERY == 0 else None

    def found(self, time_s: float, followed: int) -> None:
        """Record the number of people tracked after the search."""
        if followed > self.followed and followed >= self.most:
            self.wait_s, self.next_s = _ALL_S[0], max(self.next_s, time_s + _ALL_S[0])
        self.followed, self.most = followed, max(self.most, followed)

    def _waits(self, followed: int) -> tuple[float, float]:
        if followed == 0:
            return _NONE_S
        return _FEWER_S if followed < self.most else _ALL_S
