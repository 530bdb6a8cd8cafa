"""Driving clips: any container becomes upright RGB frames at one exact, constant rate."""

import itertools
import math
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av import VideoFrame
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from fantasyportrait.core.errors import RequestError
from fantasyportrait.media.clip_info import ClipInfo as ClipInfo
from fantasyportrait.media.containers import decode, need_video, open_media, packets, stamp_of, zero_of
from fantasyportrait.media.convert import FrameConverter
from fantasyportrait.media.frame_rows import nothing_decodes, rows_of
from fantasyportrait.media.graphs import Pipe, chain
from fantasyportrait.media.images import is_animated
from fantasyportrait.media.picture_clips import is_picture, picture_frames, picture_info, still_frame
from fantasyportrait.media.rates import measured_rate
from fantasyportrait.media.timeline import frame_count

_SEEK_BEYOND_S = 3
_CUT_OFF_S = Fraction(1, 2)
_LONGEST_GAP_S = 60  # wrong stamps would otherwise ask for frames without end
_WITH_HEADER = ("mp4", "matroska", "avi")
TimedFrame = tuple[Fraction, Fraction, VideoFrame]


def probe_clip(path: Path) -> ClipInfo:
    """Look at the clip, or at a picture in its place, and decode its first frame.

    Raises MediaError where no frame can be read.
    """
    if is_picture(path):
        return picture_info(path)
    with open_media(path) as container:
        stream = need_video(container, path)
        frame = next(decode(container, stream, []), None)
        if frame is None:
            raise nothing_decodes(path)
        width, height = FrameConverter(_pixel_aspect(stream)).upright_size(frame)
        rate = _own_rate(stream)
        duration_s = _stated_length(container, stream) or _counted_length(path)
        return ClipInfo(path, width, height, rate, float(duration_s), bool(container.streams.audio))


def read_clip(
    path: Path,
    rate: Fraction = Fraction(25),
    start_s: float = 0.0,
    end_s: float | None = None,
    max_side: int | None = None,
    damage: list[str] | None = None,
) -> Iterator[NDArray[np.uint8]]:
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
) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    """The frames of `read_clip`, each with its own time, counted in rows from `start_s` (row i is due at time i).

    What moves is better interpolated between these times than taken from the nearest frame: a clip of 30 frames a
    second read at 25 would jerk five times a second.
    """
    if not (math.isfinite(start_s) and start_s >= 0) or (end_s is not None and not end_s > start_s):
        raise RequestError(f"cannot use {path} from {start_s} s to {end_s} s: the start must lie before the end")
    told = [] if damage is None else damage
    start = Fraction(start_s)
    limit = sys.maxsize if end_s is None else frame_count(Fraction(end_s) - start, rate)
    if is_picture(path):
        yield from _picture_rows(path, rate, start, limit, max_side, told)
        return
    with open_media(path) as container:
        stream = need_video(container, path)
        converter = FrameConverter(_pixel_aspect(stream), max_side)
        for begin, frame, times in rows_of(_from_zero(path, container, stream, start, told), rate, start, limit, path):
            pixels, own_time = converter.pixels(frame), float((begin - start) * rate)
            yield from ((own_time, pixels) for _ in range(times))


def _picture_rows(
    path: Path, rate: Fraction, start: Fraction, limit: int, max_side: int | None, damage: list[str]
) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    """The rows of an animation, or the one row of a still picture."""
    if not is_animated(path):
        yield 0.0, still_frame(path, max_side)
        return
    for begin, pixels, times in rows_of(picture_frames(path, max_side, damage), rate, start, limit, path):
        own_time = float((begin - start) * rate)
        yield from ((own_time, pixels) for _ in range(times))


def own_rate(path: Path) -> tuple[Fraction, bool] | None:
    """(frames a second, whether that is constant) by the times of the clip's frames; None for a still picture.

    Nothing is decoded. Raises MediaError for a clip that cannot be read.
    """
    if is_picture(path):
        return measured_rate([begin for begin, _, _ in picture_frames(path, 16, [])]) if is_animated(path) else None
    with open_media(path) as container:
        stream = need_video(container, path)
        base, stated = stream.time_base or Fraction(1, 1000), _own_rate(stream)
        ticks = sorted({packet.pts for packet in packets(container, stream, []) if packet and packet.pts is not None})
        return measured_rate([tick * base for tick in ticks], stated, base) or (stated, True)


def _from_zero(
    path: Path, container: InputContainer, stream: VideoStream, start: Fraction, damage: list[str]
) -> Iterator[TimedFrame]:
    """(begin, end, frame) in seconds since the clip's first frame; frames long before `start` are skipped."""
    zero: Fraction | None = None
    if start > _SEEK_BEYOND_S:
        with open_media(path) as other:
            zero = zero_of(other, need_video(other, path))
    frames = decode(container, stream, damage) if zero is None else _sought(container, stream, zero, start, damage)
    step = 1 / _own_rate(stream)
    end: Fraction | None = None
    for frame in _progressive(frames):
        stamp = stamp_of(frame, stream)
        if zero is None:
            zero = stamp or Fraction(0)
        begin = (end or Fraction(0)) if stamp is None else stamp - zero
        if end is not None and begin - end > _LONGEST_GAP_S:
            damage.append(f"{path} has a gap of more than {_LONGEST_GAP_S} s: what follows was left out")
            return
        length = frame.duration * frame.time_base if frame.duration and frame.time_base else step
        end = begin + min(length, Fraction(_LONGEST_GAP_S))
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


def _counted_length(path: Path) -> Fraction:
    """Length in seconds from the packets' stamps: what browsers record states none."""
    with open_media(path) as container:
        stream = need_video(container, path)
        base = stream.time_base or Fraction(1, 1000)
        spans = [(p.pts, p.pts + (p.duration or 0)) for p in container.demux(stream) if p.pts is not None]
        first, last = min((a for a, _ in spans), default=0), max((b for _, b in spans), default=0)
        return max((last - first) * base, 1 / _own_rate(stream))
