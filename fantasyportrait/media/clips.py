"""Driving clips: any container becomes upright RGB frames at one exact, constant rate."""

import itertools
import math
import sys
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

import av
import numpy as np
from av import VideoFrame
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from fantasyportrait.core.errors import MediaError, RequestError
from fantasyportrait.media.containers import (
    decode,
    need_video,
    open_media,
    packets,
    sound_note,
    sound_stream,
    stamp_of,
    zero_of,
)
from fantasyportrait.media.convert import FrameConverter
from fantasyportrait.media.graphs import Pipe, chain
from fantasyportrait.media.pace import Pace, pace_note
from fantasyportrait.media.timeline import frame_count, round_half_up
from fantasyportrait.schema.limits import PRIVATE, Limits

_SEEK_BEYOND_S = 3
_CUT_OFF_S = Fraction(1, 2)
_LOOK_AT_PACKETS = 64
_LONGEST_GAP_S = 60  # wrong stamps would otherwise ask for frames without end
_WITH_HEADER = ("mp4", "matroska", "avi")
_ANIMATIONS = ("gif", "apng")
Pixels = NDArray[np.uint8]
Shown = TypeVar("Shown")
TimedFrame = tuple[Fraction, Fraction, VideoFrame]


@dataclass(frozen=True)
class ClipInfo:
    """What a clip holds: upright size in pixels, its own mean rate, length in seconds, whether it has sound, and what
    the user should know of it."""

    path: Path
    width: int
    height: int
    rate: Fraction
    duration_s: float
    has_sound: bool
    notes: tuple[str, ...] = ()


def probe_clip(path: Path, limits: Limits = PRIVATE) -> ClipInfo:
    """Look at the clip and decode its first frame. Raises MediaError where no frame can be read, and for one over the
    limits, as far as its header and time stamps say."""
    with open_media(path, limits) as container:
        stream = need_video(container, path, limits)
        note = pace_note(path, _stamps(path, limits))
        frame = next(decode(container, stream, []), None)
        if frame is None:
            raise _nothing_decodes(path)
        width, height = FrameConverter(path, limits, _pixel_aspect(stream)).upright_size(frame)
        rate = _own_rate(stream)
        duration_s = _stated_length(container, stream) or _counted_length(path, limits)
        notes = tuple(text for text in (note, sound_note(container, path)) if text)
        return ClipInfo(path, width, height, rate, float(duration_s), sound_stream(container) is not None, notes)


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
    with open_media(path, limits) as container:
        stream = need_video(container, path, limits)
        _check_length(path, start, end_s, _stated_length(container, stream), limits)
        converter = FrameConverter(path, limits, _pixel_aspect(stream), max_side)
        timed = _from_zero(path, container, stream, start, told, limits)
        for begin, frame, times in frame_rows(timed, rate, start, limit, path):
            if not times:
                yield None
                continue
            given += times
            if given > limits.track_rows or given / rate > limits.clip_length_s:
                raise _too_long(path, f"more than {float((given - times) / rate):.0f} s", limits)
            pixels, own_time = converter.pixels(frame), float((begin - start) * rate)
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
    What a damaged clip lost is told in `damage`. Raises MediaError for a clip that cannot be read.
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
    with open_media(path, limits) as container:
        stream = need_video(container, path, limits)
        converter = FrameConverter(path, limits, _pixel_aspect(stream), max_side)
        timed = _from_zero(path, container, stream, after or Fraction(0), told, limits)
        first = next(timed, None)
        if first is None:
            raise _nothing_decodes(path)
        for shown in _spaced(itertools.chain([first], timed), after, most):
            if shown is None:
                yield None
                continue
            begin, end, frame = shown
            if begin > limits.clip_length_s:
                raise _too_long(path, f"more than {limits.clip_length_s:.0f} s", limits)
            yield begin, end, converter.pixels(frame)


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


def frame_rows(
    timed: Iterable[tuple[Fraction, Fraction, Shown]], rate: Fraction, start: Fraction, limit: int, path: Path
) -> Iterator[tuple[Fraction, Shown, int]]:
    """Each frame, when it begins, and on how many neighbouring rows of the constant rate it shows: 0 for none.

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
        raise _nothing_decodes(path)
    if end <= start:
        raise MediaError(f"{path} lasts {float(end):.2f} s: a start at {float(start):.2f} s lies beyond its end")
    rest = min(limit, max(1, round_half_up((end - start) * rate))) - given
    if rest > 0:
        yield *held, rest


def check_span(path: Path, start_s: float, end_s: float | None) -> None:
    """Raise RequestError unless `start_s` is a time and lies before `end_s`, where that is given."""
    if not (math.isfinite(start_s) and start_s >= 0) or (end_s is not None and not end_s > start_s):
        raise RequestError(f"cannot use {path} from {start_s} s to {end_s} s: the start must lie before the end")


def _from_zero(
    path: Path, container: InputContainer, stream: VideoStream, start: Fraction, damage: list[str], limits: Limits
) -> Iterator[TimedFrame]:
    """(begin, end, frame) in seconds since the clip's first frame; frames long before `start` are skipped."""
    zero: Fraction | None = None
    if start > _SEEK_BEYOND_S:
        with open_media(path, limits) as other:
            zero = zero_of(other, need_video(other, path, limits))
    frames = decode(container, stream, damage) if zero is None else _sought(container, stream, zero, start, damage)
    step = 1 / _own_rate(stream)
    end: Fraction | None = None
    pace = Pace(path)
    for number, frame in enumerate(_progressive(frames), 1):
        _check_animation(path, container, number, limits)
        stamp = stamp_of(frame, stream)
        if zero is None:
            zero = stamp or Fraction(0)
        begin = (end or Fraction(0)) if stamp is None else stamp - zero
        if end is not None and begin - end > _LONGEST_GAP_S:
            damage.append(f"{path} has a gap of more than {_LONGEST_GAP_S} s: what follows was left out")
            return
        length = frame.duration * frame.time_base if frame.duration and frame.time_base else step
        end = begin + min(length, Fraction(_LONGEST_GAP_S))
        pace.add(begin)
        yield begin, end, frame
    stated = _stated_length(container, stream)
    if end is not None and stated is not None and stated - end > _CUT_OFF_S:
        damage.append(f"{path} is cut off: it says {float(stated):.2f} s and holds {float(end):.2f} s")


def _sought(
    container: InputContainer, stream: VideoStream, zero: Fraction, start: Fraction, damage: list[str]
) -> Iterator[VideoFrame]:
    """Frames from a key frame before `start`; from the beginning where the container cannot seek."""
    for target in (zero + start - 1, zero - 1):
        try:
            container.seek(round(target / (stream.time_base or Fraction(1, 1000))), stream=stream)
        except av.error.FFmpegError:
            break
        frames = decode(container, stream, damage)
        first = next(frames, None)
        stamp = None if first is None else stamp_of(first, stream)
        if first is not None and stamp is not None and stamp <= zero + start:
            return itertools.chain([first], frames)
    return decode(container, stream, damage)


def _progressive(frames: Iterator[VideoFrame]) -> Iterator[VideoFrame]:
    """The same frames, interlaced ones made whole (bwdif needs both neighbours, so it runs before any is dropped)."""
    pipe: Pipe | None = None
    shape: tuple[object, ...] = ()
    for frame in frames:
        kind = (frame.width, frame.height, frame.format.name)
        if pipe is not None and kind != shape:
            yield from pipe.drain(None)
            pipe = None
        if pipe is None and frame.interlaced_frame:
            pipe, shape = chain(frame, ("bwdif", "mode=send_frame:deint=interlaced")), kind
        if pipe is None:
            yield frame
        else:
            yield from pipe.drain(frame)
    if pipe is not None:
        yield from pipe.drain(None)


def _nothing_decodes(path: Path) -> MediaError:
    return MediaError(f"no frame of {path} can be decoded: it is damaged or its format is not supported")


def _pixel_aspect(stream: VideoStream) -> float:
    return float(stream.sample_aspect_ratio or 1)


def _own_rate(stream: VideoStream) -> Fraction:
    return stream.average_rate or stream.guessed_rate or Fraction(25)


def _stated_length(container: InputContainer, stream: VideoStream) -> Fraction | None:
    """Length in seconds by the header, None where there is none or only a guess."""
    if not any(name in container.format.name for name in _WITH_HEADER):
        return None
    if stream.duration and stream.time_base:
        return stream.duration * stream.time_base
    if container.duration and not container.streams.audio:  # else it may be the sound's
        return Fraction(container.duration, av.time_base)
    return None


def _counted_length(path: Path, limits: Limits) -> Fraction:
    """Length in seconds from the packets' stamps: what browsers record states none."""
    with open_media(path, limits) as container:
        stream = need_video(container, path, limits)
        first, last = Fraction(sys.maxsize), Fraction(0)
        for number, (stamp, length) in enumerate(_timed_packets(container, stream), 1):
            _check_animation(path, container, number, limits)
            first, last = min(first, stamp), max(last, stamp + length)
        return max(last - first, 1 / _own_rate(stream))


def _check_animation(path: Path, container: InputContainer, pictures: int, limits: Limits) -> None:
    if pictures > limits.animation_frames and container.format.name in _ANIMATIONS:
        raise MediaError(
            f"{path} is an animation of more than {limits.animation_frames} pictures: convert it to MP4, or make it "
            "shorter"
        )


def _stamps(path: Path, limits: Limits) -> list[Fraction]:
    """Time stamps in seconds of the clip's first packets, in order of time; nothing is decoded."""
    with open_media(path, limits) as container:
        stream = need_video(container, path, limits)
        return sorted(stamp for stamp, _ in itertools.islice(_timed_packets(container, stream), _LOOK_AT_PACKETS))


def _timed_packets(container: InputContainer, stream: VideoStream) -> Iterator[tuple[Fraction, Fraction]]:
    """(time stamp, length) in seconds of the packets that have one, up to where the file is broken."""
    base = stream.time_base or Fraction(1, 1000)
    for packet in packets(container, stream, []):
        if packet is not None and packet.pts is not None:
            yield packet.pts * base, (packet.duration or 0) * base
