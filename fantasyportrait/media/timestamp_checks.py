"""Checks of a clip's frame rate: damaged time stamps would make endless rows from a few frames."""

import itertools
import statistics
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from fantasyportrait.core.errors import MediaError
from fantasyportrait.core.sentences import Sentence

_SLOW_S = Fraction(1, 4)
_SPARSE_S = 2
_FEWEST_A_SECOND, _MOST_A_SECOND = Fraction(1, _SPARSE_S), 300
_ALLOWED_S, _ALLOWED_FRAMES = 10, 1000


def low_rate_message(path: Path, stamps: Sequence[Fraction]) -> str | None:
    """Return a message about a clip of few frames a second, by the ascending time stamps (s) of its first frames.

    It uses the median gap, which a single wrong stamp does not change. Raises MediaError where that is over 2 s.
    """
    if len(stamps) < 2:
        return None
    gap_s = statistics.median(later - earlier for earlier, later in itertools.pairwise(stamps))
    if gap_s > _SPARSE_S:
        raise _sparse(path, len(stamps), stamps[-1] - stamps[0])
    if gap_s > _SLOW_S:
        return Sentence(
            "{name} shows only {frames:.1f} frames a second, so the face moves in jerks; where that is "
            "not so in a player, its time stamps are damaged: convert it to MP4",
            name=path.name,
            frames=float(1 / gap_s),
        )
    return None


class FrameRateCheck:
    """Compares the number of decoded frames with their time stamps; refuses a clip where they contradict each other."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._frames = 0
        self._first_s: Fraction | None = None

    def add(self, begin_s: Fraction) -> None:
        """Count a frame that begins at `begin_s`; raises MediaError for too few or too many frames so far."""
        self._frames += 1
        first_s = self._first_s = begin_s if self._first_s is None else min(self._first_s, begin_s)
        length_s = begin_s - first_s
        if length_s > _ALLOWED_S + self._frames / _FEWEST_A_SECOND:
            raise _sparse(self._path, self._frames, length_s)
        if self._frames > _ALLOWED_FRAMES + length_s * _MOST_A_SECOND:
            raise MediaError(
                "{path} shows {frames} frames in {length_s:.2f} s, more than {most_a_second} a "
                "second: its time stamps are damaged; convert it to MP4",
                path=self._path,
                frames=self._frames,
                length_s=float(length_s),
                most_a_second=_MOST_A_SECOND,
            )


def _sparse(path: Path, frames: int, length_s: Fraction) -> MediaError:
    return MediaError(
        "{path} shows {frames} frames in {length_s:.0f} s, fewer than one in {sparse_s} s: its time stamps "
        "are damaged; convert it to MP4",
        path=path,
        frames=frames,
        length_s=float(length_s),
        sparse_s=_SPARSE_S,
    )
