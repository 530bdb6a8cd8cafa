"""Resampling of segments into tracks: the rows of a part of the clip at a rate, rows without a face filled."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.geometry import bounding_box
from fantasyportrait.faces.numbering import person_numbers
from fantasyportrait.faces.segments import Segment
from fantasyportrait.media.frame_resampling import resample_frames
from fantasyportrait.schema.face import Track
from fantasyportrait.schema.timeline import frame_count


@dataclass(frozen=True)
class TrackSpan:
    """A part of a clip at a frame rate: at most `max_rows` rows from `start`, to `end` or the clip's end, seconds."""

    path: Path
    rate: Fraction
    start: Fraction
    end: Fraction | None
    max_rows: int

    @property
    def rows(self) -> int:
        """The maximum number of rows."""
        return self.max_rows if self.end is None else min(self.max_rows, frame_count(self.end - self.start, self.rate))

    @property
    def last(self) -> Fraction:
        """The latest end of the span, in seconds."""
        return self.start + self.rows / self.rate


@dataclass(frozen=True, eq=False)
class _SpanFrames:
    """The frames of a span.

    Attributes:
        frames: int64 (T,), number of each row's frame.
        times: own time of each frame that shows, by its number: counted in rows, row i is due at i.
    """

    frames: NDArray[np.int64]
    times: dict[int, float]


@dataclass(frozen=True, eq=False)
class _PersonSamples:
    """One person's K readings: number of each one's frame int64 (K,), its segment and its index there."""

    frames: NDArray[np.int64]
    places: list[tuple[Segment, int]]


def resample_tracks(segments: Sequence[Segment], span: TrackSpan, most_people: int) -> tuple[Track, ...]:
    """A track for each person seen in the span, in the order of their numbers.

    Of more than `most_people` those with the largest seen area are kept, and the others counted in `Track.left_out`.
    Raises MediaError for a span beyond the clip's end.
    """
    shown = _shown(segments, span)
    end_s = float(span.start + len(shown.frames) / span.rate)
    people = _found(segments, shown, person_numbers(segments[-1].state.identities, end_s))
    areas = {number: _seen_area(found, shown) for number, found in people.items()}
    kept = sorted(sorted(people, key=areas.__getitem__, reverse=True)[:most_people])
    left_out = len(people) - len(kept) + _left_out(segments, shown)
    return tuple(_track(number, people[number], shown, left_out) for number in kept)


def _shown(segments: Sequence[Segment], span: TrackSpan) -> _SpanFrames:
    """The rows of the span."""
    spans = [frame for segment in segments for frame in segment.spans]
    timed = ((begin, end, number) for number, (begin, end) in enumerate(spans))
    laid = [row for row in resample_frames(timed, span.rate, span.start, span.rows, span.path) if row[2]]
    frames = np.repeat([number for _, number, _ in laid], [times for _, _, times in laid])
    times = {number: float((begin - span.start) * span.rate) for begin, number, _ in laid}
    return _SpanFrames(frames.astype(np.int64), times)


def _found(segments: Sequence[Segment], shown: _SpanFrames, named: Mapping[int, int]) -> dict[int, _PersonSamples]:
    """The readings of each person in the frames shown, by the person's number."""
    places: dict[int, dict[int, tuple[Segment, int]]] = {}
    for segment in segments:
        for index, (frame, person) in enumerate(zip(segment.frames.tolist(), segment.people.tolist(), strict=True)):
            if frame in shown.times and person in named:
                places.setdefault(named[person], {})[frame] = (segment, index)
    return {
        number: _PersonSamples(np.array(list(by_frame), np.int64), list(by_frame.values()))
        for number, by_frame in places.items()
    }


def _left_out(segments: Sequence[Segment], shown: _SpanFrames) -> int:
    """Return the largest number of faces that were left out of a frame."""
    counts = (enumerate(segment.left_out.tolist(), segment.first) for segment in segments)
    return max((count for each in counts for frame, count in each if frame in shown.times), default=0)


def _seen_area(found: _PersonSamples, shown: _SpanFrames) -> float:
    """Sum of the areas of the face's box over the rows in which it is seen."""
    rows = np.bincount(shown.frames)
    boxes = [bounding_box(segment.landmarks[index]) for segment, index in found.places]
    return float(sum((box[2:] - box[:2]).prod() * rows[frame] for box, frame in zip(boxes, found.frames, strict=True)))


def _track(number: int, found: _PersonSamples, shown: _SpanFrames, left_out: int) -> Track:
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
        mouth_indices=np.where(share < 0.5, before, after),
        left_out=left_out,
    )


def _neighbours(
    times: NDArray[np.float64], frames: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """For each row: indices in `times` of the last sample before and the first after it, and the share between."""
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
