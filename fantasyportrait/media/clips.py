"""Driving clips: any container, or a picture, becomes upright RGB frames at one exact, constant rate."""

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
from fantasyportrait.media.clip_info import ClipInfo
from fantasyportrait.media.frame_resampling import nothing_decodes, resample_frames
from fantasyportrait.media.image_clips import image_clip_info, image_frames, image_rate, is_image
from fantasyportrait.media.videos import open_video, video_info, video_rate
from fantasyportrait.schema.timeline import frame_count

Pixels = NDArray[np.uint8]
Shown = TypeVar("Shown")

LOOKAHEAD_LIMIT_S = 2
"""Seconds that native frames may be read beyond the used part: people are confirmed a moment after they appear."""
MAX_RATE_DENOMINATOR = 1_000_000
"""The largest denominator of a measured rate; encoders take no finer one."""


class _OpenClip(NamedTuple):
    """A clip that is being read: (begin, end, frame) of its frames, what makes a frame pixels, stated length (s)."""

    frames: Iterator[tuple[Fraction, Fraction, Any]]
    pixels: Callable[[Any], Pixels]
    header_length_s: Fraction | None


@contextmanager
def _open_clip(
    path: Path, start: Fraction, max_side: int | None, damage: list[str], limits: Limits
) -> Iterator[_OpenClip]:
    """Open the clip, or the picture in its place."""
    if is_image(path, limits):
        yield _OpenClip(image_frames(path, max_side, damage, limits), lambda pixels: pixels, None)
        return
    with open_video(path, start, max_side, damage, limits) as video:
        yield _OpenClip(*video)


def probe_clip(path: Path, limits: Limits = PRIVATE) -> ClipInfo:
    """Look at the clip, or at a picture in its place, and decode its first frame.

    Raises MediaError where no frame can be read, and for one over the limits, as far as its header and time stamps say.
    """
    return image_clip_info(path, limits) if is_image(path, limits) else video_info(path, limits)


def native_rate(path: Path, limits: Limits = PRIVATE) -> tuple[Fraction, bool] | None:
    """(frames a second, whether that is constant) by the times of the clip's frames; None for a still picture.

    Nothing is decoded. The rate's denominator is at most `MAX_RATE_DENOMINATOR`. Raises MediaError for a clip that
    cannot be read.
    """
    found = image_rate(path, limits) if is_image(path, limits) else video_rate(path, limits)
    if found is None:
        return None
    rate, steady = found
    return max(rate, Fraction(1, MAX_RATE_DENOMINATOR)).limit_denominator(MAX_RATE_DENOMINATOR), steady


def read_clip(
    path: Path,
    rate: Fraction = Fraction(25),
    start_s: float = 0.0,
    end_s: float | None = None,
    max_side: int | None = None,
    damage: list[str] | None = None,
) -> Generator[Pixels, None, None]:
    """Upright RGB frames, uint8 (H, W, 3), one every 1 / `rate` s from `start_s` to `end_s` or the clip's end.

    Each is the frame nearest in time; a frame shown twice is the same array. At least one frame is yielded. Sentences
    about parts of a damaged clip that were lost are appended to `damage`. Raises RequestError for a wrong span,
    MediaError for a clip that cannot be read.
    """
    for _, pixels in read_resampled(path, rate, start_s, end_s, max_side, damage):
        yield pixels


def read_resampled(
    path: Path,
    rate: Fraction = Fraction(25),
    start_s: float = 0.0,
    end_s: float | None = None,
    max_side: int | None = None,
    damage: list[str] | None = None,
    limits: Limits = PRIVATE,
) -> Generator[tuple[float, Pixels], None, None]:
    """The frames of `read_clip`, each with its own time, counted in rows from `start_s` (row i is due at time i).

    Motion is better interpolated between these times than taken from the nearest frame: a clip of 30 frames a
    second read at 25 would jerk five times a second.
    """
    for row in read_resampled_steps(path, rate, start_s, end_s, max_side, damage, limits):
        if row is not None:
            yield row


def read_resampled_steps(
    path: Path,
    rate: Fraction,
    start_s: float,
    end_s: float | None,
    max_side: int | None,
    damage: list[str] | None,
    limits: Limits,
) -> Generator[tuple[float, Pixels] | None, None, None]:
    """Yield the rows of `read_resampled`, and None (progress) after each decoded frame that is on no row."""
    check_span(path, start_s, end_s)
    told = [] if damage is None else damage
    start = Fraction(start_s)
    limit = sys.maxsize if end_s is None else frame_count(Fraction(end_s) - start, rate)
    given = 0
    with _open_clip(path, start, max_side, told, limits) as clip:
        _check_length(path, start, end_s, clip.header_length_s, limits)
        for begin, frame, times in resample_frames(clip.frames, rate, start, limit, path):
            if not times:
                yield None
                continue
            given += times
            if given > limits.track_rows or given / rate > limits.clip_length_s:
                raise _too_long(path, f"more than {float((given - times) / rate):.0f} s", limits)
            pixels, native_time = clip.pixels(frame), float((begin - start) * rate)
            yield from ((native_time, pixels) for _ in range(times))


def _check_length(path: Path, start: Fraction, end_s: float | None, stated: Fraction | None, limits: Limits) -> None:
    """Refuse a clip that is too long by its stated length, before anything is decoded."""
    if stated is None:
        return
    used = (stated if end_s is None else min(stated, Fraction(end_s))) - start
    if used > limits.clip_length_s:
        raise _too_long(path, f"{float(used):.0f} s", limits)


def _too_long(path: Path, length: str, limits: Limits) -> MediaError:
    return MediaError(
        "{path} would be used for {length}, and at most {clip_length_s:.0f} s or {track_rows} frames of "
        "a clip are: give a start and an end, or cut it",
        path=path,
        length=length,
        clip_length_s=limits.clip_length_s,
        track_rows=limits.track_rows,
    )


def read_native_frames(
    path: Path,
    after: Fraction | None = None,
    max_rate: Fraction | None = None,
    max_side: int | None = None,
    damage: list[str] | None = None,
    limits: Limits = PRIVATE,
) -> Generator[tuple[Fraction, Fraction, Pixels], None, None]:
    """(begin, end, upright RGB frame) of each frame of the clip in its own times, seconds since its first frame.

    `after`: only frames that begin later. `max_rate`: of frames nearer than 1 / `max_rate` s some are passed over, and
    the one before lasts longer; which ones does not depend on `after` where that is the begin of a frame that was
    yielded. What a damaged clip lost is added to `damage`. Raises MediaError for a clip that cannot be read.
    """
    for frame in read_native_steps(path, after, max_rate, max_side, damage, limits):
        if frame is not None:
            yield frame


def read_native_steps(
    path: Path,
    after: Fraction | None,
    max_rate: Fraction | None,
    max_side: int | None,
    damage: list[str] | None,
    limits: Limits,
) -> Generator[tuple[Fraction, Fraction, Pixels] | None, None, None]:
    """Yield the frames of `read_native_frames`, and None (progress) for each decoded frame that is skipped."""
    told = [] if damage is None else damage
    with _open_clip(path, after or Fraction(0), max_side, told, limits) as clip:
        first = next(clip.frames, None)
        if first is None:
            raise nothing_decodes(path)
        for shown in _limit_rate(itertools.chain([first], clip.frames), after, max_rate):
            if shown is None:
                yield None
                continue
            begin, end, frame = shown
            if begin > limits.clip_length_s + LOOKAHEAD_LIMIT_S:
                raise _too_long(path, f"more than {limits.clip_length_s:.0f} s", limits)
            yield begin, end, clip.pixels(frame)


def _limit_rate(
    timed: Iterable[tuple[Fraction, Fraction, Shown]], after: Fraction | None, max_rate: Fraction | None
) -> Iterator[tuple[Fraction, Fraction, Shown] | None]:
    """The frames that begin after `after`; of more than one in 1 / `max_rate` s the first, which lasts for all of them.

    None for each frame that is skipped.
    """
    taken = after
    held: tuple[Fraction, Fraction, Shown] | None = None
    for begin, end, frame in timed:
        if after is not None and begin <= after:
            yield None
            continue
        if taken is not None and max_rate is not None and math.floor(begin * max_rate) <= math.floor(taken * max_rate):
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
        raise RequestError(
            "cannot use {path} from {start_s} s to {end_s} s: the start must lie before the end",
            path=path,
            start_s=start_s,
            end_s=end_s,
        )
