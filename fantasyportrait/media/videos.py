"""Reading of videos: frames with their own times, in seconds since the first, and the length and rate of a file."""

import itertools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av import VideoFrame
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from fantasyportrait.core.limits import Limits
from fantasyportrait.core.sentences import Sentence
from fantasyportrait.images.size_checks import check_frame_count
from fantasyportrait.media.clip_info import ClipInfo
from fantasyportrait.media.containers import (
    decode,
    first_timestamp,
    open_media,
    packets,
    require_video,
    sound_message,
    sound_stream,
    timestamp_of,
)
from fantasyportrait.media.filter_graph import FilterGraph, filter_chain
from fantasyportrait.media.frame_converter import FrameConverter
from fantasyportrait.media.frame_rates import measured_rate
from fantasyportrait.media.frame_resampling import nothing_decodes
from fantasyportrait.media.timestamp_checks import FrameRateCheck, low_rate_message

_SEEK_BEYOND_S = 3
_CUT_OFF_S = Fraction(1, 2)
_LOOK_AT_PACKETS = 64
_LONGEST_GAP_S = 60  # wrong stamps would otherwise ask for frames without end
_WITH_HEADER = ("mp4", "matroska", "avi")
_ANIMATIONS = ("gif", "apng")
TimedFrame = tuple[Fraction, Fraction, VideoFrame]


class OpenVideo(NamedTuple):
    """An open video: (begin, end, frame) of its frames, the converter to RGB pixels, the stated length."""

    frames: Iterator[TimedFrame]
    pixels: Callable[[VideoFrame], NDArray[np.uint8]]
    header_length_s: Fraction | None


@contextmanager
def open_video(
    path: Path, start: Fraction, max_side: int | None, damage: list[str], limits: Limits
) -> Iterator[OpenVideo]:
    """Open the video; frames long before `start` are skipped. Raises MediaError where it cannot be read."""
    with open_media(path, limits) as container:
        stream = require_video(container, path, limits)
        converter = FrameConverter(path, limits, _pixel_aspect(stream), max_side)
        frames = _timed_frames(path, container, stream, start, damage, limits)
        yield OpenVideo(frames, converter.pixels, _header_length(container, stream))


def video_info(path: Path, limits: Limits) -> ClipInfo:
    """Look at the video and decode its first frame. Raises MediaError where no frame can be read, and for one over the
    limits, as far as its header and time stamps say."""
    with open_media(path, limits) as container:
        stream = require_video(container, path, limits)
        message = low_rate_message(path, _stamps(path, limits))
        frame = next(decode(container, stream, []), None)
        if frame is None:
            raise nothing_decodes(path)
        width, height = FrameConverter(path, limits, _pixel_aspect(stream)).upright_size(frame)
        rate = _header_rate(stream)
        duration_s = _header_length(container, stream) or _measured_length(path, limits)
        messages = tuple(text for text in (message, sound_message(container, path)) if text)
        return ClipInfo(path, width, height, rate, float(duration_s), sound_stream(container) is not None, messages)


def video_rate(path: Path, limits: Limits) -> tuple[Fraction, bool]:
    """(frames a second, whether that is constant) by the times of all packets; nothing is decoded."""
    with open_media(path, limits) as container:
        stream = require_video(container, path, limits)
        base, stated = stream.time_base or Fraction(1, 1000), _header_rate(stream)
        times = set()
        for number, (stamp, _) in enumerate(_timed_packets(container, stream), 1):
            _check_animation(path, container, number, limits)
            times.add(stamp)
        return measured_rate(sorted(times), stated, base) or (stated, True)


def _timed_frames(
    path: Path, container: InputContainer, stream: VideoStream, start: Fraction, damage: list[str], limits: Limits
) -> Iterator[TimedFrame]:
    """(begin, end, frame) in seconds since the clip's first frame; frames long before `start` are skipped."""
    zero: Fraction | None = None
    if start > _SEEK_BEYOND_S:
        with open_media(path, limits) as other:
            zero = first_timestamp(other, require_video(other, path, limits))
    frames = decode(container, stream, damage) if zero is None else _seek_frames(container, stream, zero, start, damage)
    step = 1 / _header_rate(stream)
    end: Fraction | None = None
    rate_check = FrameRateCheck(path)
    for number, frame in enumerate(_deinterlaced(frames), 1):
        _check_animation(path, container, number, limits)
        stamp = timestamp_of(frame, stream)
        if zero is None:
            zero = stamp or Fraction(0)
        begin = (end or Fraction(0)) if stamp is None else stamp - zero
        if end is not None and begin - end > _LONGEST_GAP_S:
            damage.append(
                Sentence(
                    "{path} has a gap of more than {longest_gap_s} s: what follows was left out",
                    path=path,
                    longest_gap_s=_LONGEST_GAP_S,
                )
            )
            return
        length = frame.duration * frame.time_base if frame.duration and frame.time_base else step
        end = begin + min(length, Fraction(_LONGEST_GAP_S))
        rate_check.add(begin)
        yield begin, end, frame
    stated = _header_length(container, stream)
    if end is not None and stated is not None and stated - end > _CUT_OFF_S:
        damage.append(
            Sentence(
                "{path} is cut off: it says {stated:.2f} s and holds {end:.2f} s",
                path=path,
                stated=float(stated),
                end=float(end),
            )
        )


def _seek_frames(
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
        stamp = None if first is None else timestamp_of(first, stream)
        if first is not None and stamp is not None and stamp <= zero + start:
            return itertools.chain([first], frames)
    return decode(container, stream, damage)


def _deinterlaced(frames: Iterator[VideoFrame]) -> Iterator[VideoFrame]:
    """Deinterlace the frames (bwdif needs both neighbours, so it runs before any frame is dropped)."""
    pipe: FilterGraph | None = None
    shape: tuple[object, ...] = ()
    for frame in frames:
        kind = (frame.width, frame.height, frame.format.name)
        if pipe is not None and kind != shape:
            yield from pipe.drain(None)
            pipe = None
        if pipe is None and frame.interlaced_frame:
            pipe, shape = filter_chain(frame, ("bwdif", "mode=send_frame:deint=interlaced")), kind
        if pipe is None:
            yield frame
        else:
            yield from pipe.drain(frame)
    if pipe is not None:
        yield from pipe.drain(None)


def _pixel_aspect(stream: VideoStream) -> float:
    return float(stream.sample_aspect_ratio or 1)


def _header_rate(stream: VideoStream) -> Fraction:
    return stream.average_rate or stream.guessed_rate or Fraction(25)


def _header_length(container: InputContainer, stream: VideoStream) -> Fraction | None:
    """Length in seconds by the header, None where there is none or only a guess."""
    if not any(name in container.format.name for name in _WITH_HEADER):
        return None
    if stream.duration and stream.time_base:
        return stream.duration * stream.time_base
    if container.duration and not container.streams.audio:  # otherwise it may be that of the sound
        return Fraction(container.duration, av.time_base)
    return None


def _measured_length(path: Path, limits: Limits) -> Fraction:
    """Length in seconds from the packets' time stamps: recordings of browsers state none."""
    with open_media(path, limits) as container:
        stream = require_video(container, path, limits)
        first, last = Fraction(sys.maxsize), Fraction(0)
        for number, (stamp, length) in enumerate(_timed_packets(container, stream), 1):
            _check_animation(path, container, number, limits)
            first, last = min(first, stamp), max(last, stamp + length)
        return max(last - first, 1 / _header_rate(stream))


def _check_animation(path: Path, container: InputContainer, pictures: int, limits: Limits) -> None:
    if container.format.name in _ANIMATIONS:
        check_frame_count(path, pictures, limits)


def _stamps(path: Path, limits: Limits) -> list[Fraction]:
    """Time stamps in seconds of the clip's first packets, in order of time; nothing is decoded."""
    with open_media(path, limits) as container:
        stream = require_video(container, path, limits)
        return sorted(stamp for stamp, _ in itertools.islice(_timed_packets(container, stream), _LOOK_AT_PACKETS))


def _timed_packets(container: InputContainer, stream: VideoStream) -> Iterator[tuple[Fraction, Fraction]]:
    """(time stamp, length) in seconds of the packets that have one, up to where the file is broken."""
    base = stream.time_base or Fraction(1, 1000)
    for packet in packets(container, stream, []):
        if packet is not None and packet.pts is not None:
            yield packet.pts * base, (packet.duration or 0) * base
