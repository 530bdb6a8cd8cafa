"""Readings of a clip -> tracks: the rows of a part of it at a rate, rows without a face filled."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.geometry import box_of
from fantasyportrait.faces.face import Track
from fantasyportrait.faces.numbering import numbers
from fantasyportrait.faces.readings import Segment
from fantasyportrait.media.frame_rows import frame_rows
from fantasyportrait.schema.timeline import frame_count


@dataclass(frozen=True)
class Span:
    """A part of a clip at a frame rate: at most `most_rows` rows from `start`, to `end` or the clip's end, seconds."""

    path: Path
    rate: Fraction
    start: Fraction
    end: Fraction | None
    most_rows: int

    @property
    def rows(self) -> int:
        """How many rows there are at most."""
        return (
            self.most_rows if self.end is None else min(self.most_rows, frame_count(self.end - self.start, self.rate))
        )

    @property
    def last(self) -> Fraction:
        """Where the span ends at the latest, in seconds."""
        return self.start + self.rows / self.rate


@dataclass(frozen=True, eq=False)
class _Shown:
    """What a span shows.

    Attributes:
        frames: int64 (T,), number of each row's frame.
        times: own time of each frame that shows, by its number: counted in rows, row i is due at i.
    """

    frames: NDArray[np.int64]
    times: dict[int, float]


@dataclass(frozen=True, eq=False)
class _Found:
    """One person's K readings: number of each one's frame int64 (K,), its segment and its place there."""

    frames: NDArray[np.int64]
    places: list[tuple[Segment, int]]


def tracks_of(segments: Sequence[Segment], span: Span, most_people: int) -> tuple[Track, ...]:
    """A track for each person seen in the span, in the order of their numbers.

    Of more than `most_people` those with the largest seen area are kept, and the others counted in `Track.left_out`.
    Raises MediaError for a span beyond the clip's end.
    """
    shown = _shown(segments, span)
    end_s = float(span.start + len(shown.frames) / span.rate)
    people = _found(segments, shown, numbers(segments[-1].state.pieces, end_s))
    areas = {number: _seen_area(found, shown) for number, found in people.items()}
    kept = sorted(sorted(people, key=areas.__getitem__, reverse=True)[:most_people])
    left_out = len(people) - len(kept) + _left_out(segments, shown)
    return tuple(_track(number, people[number], shown, left_out) for number in kept)


def _shown(segments: Sequence[Segment], span: Span) -> _Shown:
    """The rows of the span."""
    spans = [frame for segment in segments for frame in segment.spans]
    timed = ((begin, end, number) for number, (begin, end) in enumerate(spans))
    laid = [row for row in frame_rows(timed, span.rate, span.start, span.rows, span.path) if row[2]]
    frames = np.repeat([number for _, number, _ in laid], [times for _, _, times in laid])
    times = {number: float((begin - span.start) * span.rate) for begin, number, _ in laid}
    return _Shown(frames.astype(np.int64), times)


def _found(segments: Sequence[Segment], shown: _Shown, named: Mapping[int, int]) -> dict[int, _Found]:
    """The readings of each person in the frames shown, by the person's number."""
    places: dict[int, dict[int, tuple[Segment, int]]] = {}
    for segment in segments:
        for place, (frame, person) in enumerate(zip(segment.frames.tolist(), segment.people.tolist(), strict=True)):
            if frame in shown.times and person in named:
                places.setdefault(named[person], {})[frame] = (segment, place)
    return {
        number: _Found(np.array(list(by_frame), np.int64), list(by_frame.values()))
        for number, by_frame in places.items()
    }


def _left_out(segments: Sequence[Segment], shown: _Shown) -> int:
    """How many faces of a frame were left out at most."""
    counts = (enumerate(segment.left_out.tolist(), segment.first) for segment in segments)
    return max((count for each in counts for frame, count in each if frame in shown.times), default=0)


def _seen_area(found: _Found, shown: _Shown) -> float:
    """Sum of the areas of the face's box over the rows in which it is seen."""
    rows = np.bincount(shown.frames)
    boxes = [box_of(segment.landmarks[place]) for segment, place in found.places]
    return float(sum((box[2:] - box[:2]).prod() * rows[frame] for box, frame in zip(boxes, found.frames, strict=True)))


def _track(number: int, found: _Found, shown: _Shown, left_out: int) -> Track:
    """The person's readings, interpolated from their own times onto the rows."""
    times = np.array([shown.times[frame] for frame in found.frames.tolist()])
    before, after, share = _neighbours(times, len(shown.frames))
    places = found.places
    return Track(
        person=number,
        size=places[0][0].size,
        landmarks=_between(np.stack([segment.landmarks[at] for segment, at in places]), before, after, share),
        blendshapes=_between(np.stack([segment.blendshapes[at] for segment, at in places]), before, after, share),
        valid=np.isin(shown.frames, found.frames),
        mouths=np.stack([segment.mouths[at] for segment, at in places]),
        mouth_rows=np.where(share < 0.5, before, after),
        left_out=left_out,
    )


def _neighbours(
    times: NDArray[np.float64], frames: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """For each row: the places in `times` of the last reading before and the first after it, and how far between."""
    every = np.arange(frames)
    after = np.clip(np.searchsorted(times, every), 0, len(times) - 1)
    before = np.clip(np.searchsorted(times, every, side="right") - 1, 0, len(times) - 1)
    length = np.where(after > before, times[after] - times[before], 1.0)
    share = np.clip((every - times[before]) / length, 0, 1)
    return before, after, share.astype(np.float32)


def _between(
    values: NDArray[np.float32], before: NDArray[np.int64], after: NDArray[np.int64], share: NDArray[np.float32]
) -> NDArray[np.float32]:
    weights = share.reshape(-1, *[1] * (values.ndim - 1))
    filled = values[before]
    filled += (values[after] - filled) * weights
    return filled
