"""Frames with times of their own are laid on rows of one constant rate."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

from fantasyportrait.core.errors import MediaError
from fantasyportrait.media.timeline import round_half_up

Picture = TypeVar("Picture")


def rows_of(
    timed: Iterator[tuple[Fraction, Fraction, Picture]], rate: Fraction, start: Fraction, limit: int, path: Path
) -> Iterator[tuple[Fraction, Picture, int]]:
    """Each frame that shows, when it begins, and on how many neighbouring rows of the constant `rate`.

    `timed` are (begin, end, frame) in seconds; rows begin at `start` and are at most `limit`. Raises MediaError where
    no frame comes, or none after `start`.
    """
    given, end = 0, Fraction(0)
    held: tuple[Fraction, Picture] | None = None
    for begin, end, frame in timed:  # noqa: B007 - the last end is the clip's
        due = min(limit, round_half_up((begin - start) * rate))
        if held is not None and due > given:
            yield *held, due - given
            given = due
        if given >= limit:
            return
        held = begin, frame
    if held is None:
        raise nothing_decodes(path)
    if end <= start:
        raise MediaError(f"{path} lasts {float(end):.2f} s: a start at {float(start):.2f} s lies beyond its end")
    rest = min(limit, max(1, round_half_up((end - start) * rate))) - given
    if rest > 0:
        yield *held, rest


def nothing_decodes(path: Path) -> MediaError:
    """The error of a clip without a single frame."""
    return MediaError(f"no frame of {path} can be decoded: it is damaged or its format is not supported")
