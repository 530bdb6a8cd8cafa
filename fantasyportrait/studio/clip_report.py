"""What a visitor sees of a checked clip: properties, persons with thumbnails, a poster, a strip of frames."""

import math
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import MediaError
from fantasyportrait.driving.driving_clips import choose_person
from fantasyportrait.faces.track_report import frontal_sizes
from fantasyportrait.images.images import resize
from fantasyportrait.media.clip_info import ClipInfo
from fantasyportrait.schema.cast import MAX_DURATION_S, ClipSource
from fantasyportrait.schema.face import Track
from fantasyportrait.schema.timeline import span_end_s
from fantasyportrait.service.input_reader import InputReader
from fantasyportrait.service.listing import RATE, clip_messages

Pixels = NDArray[np.uint8]

POSTER_SIDE = 320
STRIP_FRAMES = 9
STRIP_HEIGHT = 96
THUMB_SIDE = 160
# Pictures are chosen among so many frames at most: the others are decoded, but not converted and copied.
_MAX_CANDIDATES = 64
# Longest side of the frames that pictures are made of.
_FRAME_SIDE = 960
# Side of a thumbnail over that of the face: hair and chin are seen too.
_THUMB_MARGIN = 1.5
# Tracking continues so long after the limit, so that a clip of exactly that length is known from a longer one.
_BEYOND_S = 0.5


@dataclass(frozen=True, eq=False)
class PersonReport:
    """A person of a clip: number, thumbnail uint8 (160, 160, 3), share of rows (0 to 1) that show the face.

    `leads`: whether this is the default person of the untrimmed clip.
    """

    id: int
    thumb: Pixels
    seen: float
    leads: bool


@dataclass(frozen=True, eq=False)
class ClipReport:
    """A checked clip.

    Attributes:
        duration_s: length in seconds by its frames, 0 for a still picture.
        fps: mean of the frames a second, 0 for a still picture.
        width: of the upright frames, in pixels.
        height: of the upright frames, in pixels.
        messages: sentences about the clip and its persons, which may name its path.
        people: the persons of the clip.
        poster: uint8 (H, W, 3), longest side 320.
        strip: up to nine pictures at even distances in time, uint8 (96, W, 3).
    """

    duration_s: float
    fps: float
    width: int
    height: int
    messages: tuple[str, ...]
    people: tuple[PersonReport, ...]
    poster: Pixels
    strip: tuple[Pixels, ...]


def check_clip(
    inputs: InputReader,
    path: Path,
    max_length_s: float | None = None,
    progress: Callable[[int, int], None] | None = None,
    cancel: CancelToken | None = None,
) -> ClipReport:
    """Track the persons of a clip and report on it. A still or animated picture is a clip too.

    `progress` gets (rows done, rows expected). Raises `MediaError` for an unreadable clip and for one that is longer
    than `max_length_s` by its frames, `FaceError` for one without a face, `Cancelled`.
    """
    end_s = None if max_length_s is None else min(max_length_s + _BEYOND_S, MAX_DURATION_S)
    tracks = inputs.tracks(path, RATE, 0.0, end_s, progress=progress, cancel=cancel)
    info = inputs.decoder.probe(path)
    native = inputs.decoder.native_rate(path)  # the header of a webcam's recording may state 1000 frames a second
    length_s = 0.0 if info.still else float(len(tracks[0]) / RATE)
    if max_length_s is not None and length_s >= max_length_s + _BEYOND_S:
        raise too_long(path, f"more than {max_length_s:g} s", max_length_s)
    leader = choose_person(ClipSource(path), tracks).person
    chosen = _chosen_rows(tracks)
    pictures = _read_rows(inputs, path, chosen, cancel)
    return ClipReport(
        duration_s=length_s,
        fps=0.0 if native is None else float(native[0]),
        width=info.width,
        height=info.height,
        messages=clip_messages(inputs, info, tracks),
        people=tuple(
            PersonReport(
                track.person,
                _thumbnail(pictures[row], track, row),
                float(track.valid.mean()),
                leads=track.person == leader,
            )
            for track, row in zip(tracks, chosen.people, strict=True)
        ),
        poster=_scaled(pictures[chosen.poster], POSTER_SIDE / max(pictures[chosen.poster].shape[:2])),
        strip=tuple(_scaled(pictures[row], STRIP_HEIGHT / pictures[row].shape[0]) for row in chosen.strip),
    )


def check_reported_length(info: ClipInfo, max_length_s: float) -> None:
    """Raise `MediaError` where the container reports that the clip is too long; nothing is tracked."""
    if info.duration_s > max_length_s + _BEYOND_S:
        raise too_long(info.path, f"{info.duration_s:.1f} s", max_length_s)


def too_long(path: Path, length: str, max_length_s: float) -> MediaError:
    """The error for a clip that lasts too long."""
    return MediaError(
        "{path} lasts {length}, and a driving clip may last {most:g} s: cut it, or use a shorter one",
        path=path,
        length=length,
        most=max_length_s,
    )


@dataclass(frozen=True)
class _ChosenRows:
    """Rows of the tracks that are shown: of the poster, of the strip, of each person's thumbnail.

    `step`: most of them are multiples of it.
    """

    step: int
    poster: int
    strip: tuple[int, ...]
    people: tuple[int, ...]


def _chosen_rows(tracks: Sequence[Track]) -> _ChosenRows:
    """The poster is the first candidate that shows the largest number of persons."""
    count = len(tracks[0])
    step = math.ceil(count / _MAX_CANDIDATES)
    candidates = np.arange(0, count, step)
    people = []
    for score in map(frontal_sizes, tracks):
        row = int(candidates[np.argmax(score[candidates])])
        # Some persons are seen between two candidates only.
        people.append(row if score[row] > 0 else int(np.argmax(score)))
    visible = np.sum([track.valid[candidates] for track in tracks], axis=0)
    poster = int(candidates[np.argmax(visible)]) if visible.any() else people[0]
    middles = (np.arange(STRIP_FRAMES) + 0.5) * len(candidates) / STRIP_FRAMES
    strip = tuple(int(row) for row in candidates[np.unique(middles.astype(int))])
    return _ChosenRows(step, poster, strip, tuple(people))


def _read_rows(inputs: InputReader, path: Path, chosen: _ChosenRows, cancel: CancelToken | None) -> dict[int, Pixels]:
    """The upright frames of the rows, longest side at most 960: in one pass, but for rows that are no multiples."""
    wanted = {chosen.poster, *chosen.strip, *chosen.people}
    multiples = {row for row in wanted if row % chosen.step == 0}
    pictures: dict[int, Pixels] = {}
    with closing(inputs.decoder.frames(path, RATE / chosen.step, max_side=_FRAME_SIDE)) as frames:
        for index, (_, pixels) in enumerate(frames):
            if cancel is not None:
                cancel.check()
            if index * chosen.step in multiples:
                pictures[index * chosen.step] = pixels
            if len(pictures) == len(multiples):
                break
    for row in wanted - set(pictures):
        span = span_end_s(0.0, row, RATE), span_end_s(0.0, row + 1, RATE)
        with closing(inputs.decoder.frames(path, RATE, *span, max_side=_FRAME_SIDE)) as frames:
            pictures[row] = next(frames)[1]
    return pictures


def _thumbnail(pixels: Pixels, track: Track, row: int) -> Pixels:
    """The face in a frame with its surroundings, uint8 (160, 160, 3); a square as large as fits into the frame."""
    height, width = pixels.shape[:2]
    box = track.boxes[row] * np.tile(np.array([width, height]) / track.size, 2)
    side = int(np.clip(_THUMB_MARGIN * (box[2:] - box[:2]).max(), 1, min(width, height)))
    left, top = np.clip((box[:2] + box[2:] - side) / 2, 0, (width - side, height - side)).astype(int)
    return resize(np.ascontiguousarray(pixels[top : top + side, left : left + side]), (THUMB_SIDE, THUMB_SIDE))


def _scaled(pixels: Pixels, scale: float) -> Pixels:
    """A reduced picture, or the picture itself where it is smaller already."""
    height, width = pixels.shape[:2]
    scale = min(1.0, scale)
    return resize(pixels, (max(1, round(width * scale)), max(1, round(height * scale))))
