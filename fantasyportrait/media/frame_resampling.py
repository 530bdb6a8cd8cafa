"""Resampling of timed frames to rows of one constant rate."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

from fantasyportrait.core.errors import MediaError
from fantasyportrait.schema.timeline import round_half_up

Shown = TypeVar("Shown")


def resample_frames(
    timed: Iterable[tuple[Fraction, Fraction, Shown]], rate: Fraction, start: Fraction, limit: int, path: Path
) -> Iterator[tuple[Fraction, Shown, int]]:
    """Yield (begin, frame, number of consecutive rows of the constant rate on which it shows).

    `timed`: (begin, end, frame) in seconds since the clip's first. Row i, one of at most `limit`, is due at `start` + i
    / `rate` and shows the frame nearest in time. Raises MediaError where there is no frame, or none after `start`.
    """
    given, end = 0, Fraction(0)
    held: tuple[Fraction, Shown] | None = None
    for begin, end, frame in timed:  # noqa: B007 - the last end is the clip's
        due = min(limit, round_half_up((begin - start) * rate))
        if held is not None:
            yield *held, max(0, due - given)
            given = max(given, due)
        if given >= limit:
            return
        held = begin, frame
    if held is None:
        raise nothing_decodes(path)
    if end <= start:
        raise MediaError(
            "{path} lasts {end:.2f} s: a start at {start:.2f} s lies beyond its end",
            path=path,
            end=float(end),
            start=float(start),
        )
    rest = min(limit, max(1, round_half_up((end - start) * rate))) - given
    if rest > 0:
        yield *held, rest


def nothing_decodes(path: Path) -> MediaError:
    """Return the error for a clip without a single frame."""
    return MediaError("no frame of {path} can be decoded: it is damaged or its format is not supported", path=path)
