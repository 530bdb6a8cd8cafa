"""Driving clips: any container, and a picture in its place, becomes upright RGB frames at one exact, constant rate."""

import itertools
import math
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.errors import MediaError, RequestError
from fantasyportrait.core.limits import PRIVATE, Limits
from fantasyportrait.media.clip_info import ClipInfo as ClipInfo
from fantasyportrait.media.frame_rows import frame_rows, nothing_decodes
from fantasyportrait.media.picture_clips import is_picture, picture_frames, picture_info, picture_rate
from fantasyportrait.media.videos import open_video, video_info, video_rate
from fantasyportrait.schema.timeline import frame_count

Pixels = NDArray[np.uint8]
Shown = TypeVar("Shown")

LOOK_BEYOND_S = 2
"""Frames in their own times may be read so far beyond what may be used: who counts at its end shows itself later."""
FINEST_RATE = 1_000_000
"""The largest denominator of a rate that was measured: what encodes video takes no finer one."""


class _Opened(NamedTuple):
    """A clip that is being read: (begin, end, frame) of its frames, what makes a frame pixels, stated length (s)."""

    frames: Iterator[tuple[Fraction, Fraction, Any]]
    pixels: Callable[[Any], Pixels]
    stated_s: Fraction | None


@contextmanager
def _opened(path: Path, start: Fraction, max_side: int | None, damage: list[str], limits: Limits) -> Iterator[_Opened]:
    """Open the clip, or the picture in its place."""
    if is_picture(path, limits):
        yield _Opened(picture_frames(path, max_side, damage, limits), lambda pixels: pixels, None)
        return
    with open_video(path, start, max_side, damage, limits) as video:
        yield _Opened(*video)


def probe_clip(path: Path, limits: Limits = PRIVATE) -> ClipInfo:
    """Look at the clip, or at a picture in its place, and decode its first frame.

    Raises MediaError where no frame can be read, and for one over the limits, as far as its header and time stamps say.
    """
    return picture_info(path, limits) if is_picture(path, limits) else video_info(path, limits)


def own_rate(path: Path, limits: Limits = PRIVATE) -> tuple[Fraction, bool] | None:
    """(frames a second, whether that is constant) by the times of the clip's frames; None for a still picture.

    Nothing is decoded. The rate's denominator is at most `FINEST_RATE`. Raises MediaError for a clip that cannot be
    read.
    """
    found = picture_rate(path, limits) if is_picture(path, limits) else video_rate(path, limits)
    if found is None:
        return None
    rate, steady = found
    return max(rate, Fraction(1, FINEST_RATE)).limit_denominator(FINEST_RATE), steady


def read_clip(
    path: Path,
    rate: Fraction = Fraction(25),
    start_s: float = 0.0,
    end_s: float | None = None,
    max_side: int | None = None,
    damage: list[str] | None = None,
) -> Generator[Pixels, None, None]:
    """Upright RGB frames, uint8 (H, W, 3), one every 1 / `rate` s from `start_s` to `end_s` or the clip's end.

    Each is the frame nearest in time; a frame shown twice is the same array. At least one frame comes. What a damaged
    clip lost is told in `damage`. Raises RequestError for a wrong span, MediaError for a clip that cannot be read.
    """
    for _, pixels in read_timed(path, rate, start_s, end_s, max_side, damage):
        yield pixels


def read_timed(
    path: Path,
    rate: Fraction = Fraction(25),
    start_s: float = 0.0,
    end_s: float | None = None,
    max_side: int | None = None,
    damage: list[str] | None = None,
    limits: Limits = PRIVATE,
) -> Generator[tuple[float, Pixels], None, None]:
    """The frames of `read_clip`, each with its own time, counted in rows from `start_s` (row i is due at time i).

    What moves is better interpolated between these times than taken from the nearest frame: a clip of 30 frames a
    second read at 25 would jerk five times a second.
    """
    for row in read_steps(path, rate, start_s, end_s, max_side, damage, limits):
        if row is not None:
            yield row


def read_steps(
    path: Path,
    rate: Fraction,
    start_s: float,
    end_s: float | None,
    max_side: int | None,
    damage: list[str] | None,
    limits: Limits,
) -> Generator[tuple[float, Pixels] | None, None, None]:
    """The rows of `read_timed`, and None after each frame that was decoded and shows on no row: the work goes on."""
    check_span(path, start_s, end_s)
    told = [] if damage is None else damage
    start = Fraction(start_s)
    limit = sys.maxsize if end_s is None else frame_count(Fraction(end_s) - start, rate)
    given = 0
    with _opened(path, start, max_side, told, limits) as clip:
        _check_length(path, start, end_s, clip.stated_s, limits)
        for begin, frame, times in frame_rows(clip.frames, rate, start, limit, path):
            if not times:
                yield None
                continue
            given += times
            if given > limits.track_rows or given / rate > limits.clip_length_s:
                raise _too_long(path, f"more than {float((given - times) / rate):.0f} s", limits)
            pixels, own_time = clip.pixels(frame), float((begin - start) * rate)
            yield from ((own_time, pixels) for _ in range(times))


def _check_length(path: Path, start: Fraction, end_s: float | None, stated: Fraction | None, limits: Limits) -> None:
    """Refuse by what the clip says of its length, before anything is decoded."""
    if stated is None:
        return
    used = (stated if end_s is None else min(stated, Fraction(end_s))) - start
    if used > limits.clip_length_s:
        raise _too_long(path, f"{float(used):.0f} s", limits)


def _too_long(path: Path, length: str, limits: Limits) -> MediaError:
    return MediaError(
        f"{path} would be used for {length}, and at most {limits.clip_length_s:.0f} s or {limits.track_rows} frames of "
        "a clip are: give a start and an end, or cut it"
    )


def read_frames(
    path: Path,
    after: Fraction | None = None,
    most: Fraction | None = None,
    max_side: int | None = None,
    damage: list[str] | None = None,
    limits: Limits = PRIVATE,
) -> Generator[tuple[Fraction, Fraction, Pixels], None, None]:
    """(begin, end, upright RGB frame) of each frame of the clip in its own times, seconds since its first frame.

    `after`: only frames that begin later. `most`: of frames nearer than 1 / `most` s some are passed over, and the one
    before lasts longer; which ones does not depend on `after` where that is the begin of a frame that was yielded.
    What a damaged clip lost is added to `damage`. Raises MediaError for a clip that cannot be read.
    """
    for frame in read_frame_steps(path, after, most, max_side, damage, limits):
        if frame is not None:
            yield frame


def read_frame_steps(
    path: Path,
    after: Fraction | None,
    most: Fraction | None,
    max_side: int | None,
    damage: list[str] | None,
    limits: Limits,
) -> Generator[tuple[Fraction, Fraction, Pixels] | None, None, None]:
    """The frames of `read_frames`, and None for each that was decoded and passed over: the work goes on."""
    told = [] if damage is None else damage
    with _opened(path, after or Fraction(0), max_side, told, limits) as clip:
        first = next(clip.frames, None)
        if first is None:
            raise nothing_decodes(path)
        for shown in _spaced(itertools.chain([first], clip.frames), after, most):
            if shown is None:
                yield None
                continue
            begin, end, frame = shown
            if begin > limits.clip_length_s + LOOK_BEYOND_S:
                raise _too_long(path, f"more than {limits.clip_length_s:.0f} s", limits)
            yield begin, end, clip.pixels(frame)


def _spaced(
    timed: Iterable[tuple[Fraction, Fraction, Shown]], after: Fraction | None, most: Fraction | None
) -> Iterator[tuple[Fraction, Fraction, Shown] | None]:
    """The frames that begin after `after`; of more than one in 1 / `most` s the first, which lasts for all of them.

    None for each frame that is passed over.
    """
    taken = after
    held: tuple[Fraction, Fraction, Shown] | None = None
    for begin, end, frame in timed:
        if after is not None and begin <= after:
            yield None
            continue
        if taken is not None and most is not None and math.floor(begin * most) <= math.floor(taken * most):
            held = held and (held[0], max(held[1], end), held[2])
            yield None
            continue
        if held is not None:
            yield held
        taken, held = begin, (begin, end, frame)
    if held is not None:
        yield held


def check_span(path: Path, start_s: float, end_s: float | None) -> None:
    """Raise RequestError unless `start_s` is a time and lies before `end_s`, where that is given."""
    if not (math.isfinite(start_s) and start_s >= 0) or (end_s is not None and not end_s > start_s):
        raise RequestError(f"cannot use {path} from {start_s} s to {end_s} s: the start must lie before the end")
