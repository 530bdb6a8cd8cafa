"""Sound of the driving clips: decoded as a stream, placed on the timeline sample by sample, and mixed."""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av import AudioFrame, AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer
from numpy.typing import NDArray

from fantasyportrait.core.errors import MediaError, RequestError
from fantasyportrait.core.limits import PRIVATE, Limits
from fantasyportrait.media.containers import (
    clip_start,
    decode,
    open_media,
    packet_end,
    packets,
    sound_message,
    sound_stream,
)
from fantasyportrait.media.downmix import downmix_matrix
from fantasyportrait.media.image_clips import is_image
from fantasyportrait.media.limiter import limit_peaks
from fantasyportrait.schema.timeline import FillMode, round_half_up

SAMPLE_RATE = 48_000
Block = NDArray[np.float32]

_BLOCK = SAMPLE_RATE // 10
_FADE = SAMPLE_RATE // 500  # 2 ms at cuts, against clicks
_SLACK = SAMPLE_RATE // 100  # containers round their time stamps: gaps below 10 ms are ignored
_SEEK_BEYOND_S = 3
_LOUDEST = 1e6  # floats of damaged files would overflow when they are mixed
_RATES = (4_000, 768_000)
SoundReader = Callable[[Path, Fraction], Generator[Block, None, None]]
"""The type of `read_sound`: one file's sound from a start in seconds."""


@dataclass(frozen=True)
class SoundSegment:
    """The sound of `path` from `start_s` for `length_s`, the span whose pictures are used, repeated as they are.

    `frame_s` is the length of an output frame: ping-pong turns round on a frame. It is silent for `delay_s` before.
    `levels` are (seconds of the result, factor), ascending, between which its loudness goes evenly; none for as it is.
    """

    path: Path
    start_s: float
    length_s: Fraction
    fill: FillMode = "hold"
    frame_s: Fraction = Fraction(1, 25)
    delay_s: Fraction = Fraction(0)
    levels: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        if self.length_s <= 0 or self.start_s < 0 or self.frame_s <= 0 or self.delay_s < 0:
            raise RequestError(
                "the sound of {path} needs a positive length and a start of 0 s or later", path=self.path
            )


def sound_length_s(path: Path, limits: Limits = PRIVATE) -> Fraction:
    """Seconds of sound in a file from its beginning, that of its pictures if it has any; 0 without a sound track.

    Packets are counted, since headers guess. Raises MediaError for a file that cannot be read, for a picture, and for a
    codec that is not allowed.
    """
    if is_image(path, limits):
        raise MediaError("{path} is a picture, which has no sound: choose another file, or the sound none", path=path)
    with open_media(path, limits) as container:
        message = sound_message(container, path)
        if message is not None:
            raise MediaError(message)
        stream = sound_stream(container)
        if stream is None:
            return Fraction(0)
        zero = clip_start(path, limits)
        ends = (packet_end(packet, stream) for packet in packets(container, stream, []) if packet is not None)
        return max(Fraction(0), max((end for end in ends if end is not None), default=zero) - zero)


def sound_blocks(
    sources: Sequence[SoundSegment], duration_s: Fraction, read: SoundReader | None = None
) -> Iterator[Block]:
    """The mix of `sources`, float32 (n, 2) at 48 kHz, `duration_s` long to the sample.

    Parts louder than -1 dBTP are attenuated without distortion (see `media.limiter`); the rest is the sum of the
    sources' samples. A clip without a sound track is silent, and so are the backward parts of ping-pong and the rest
    after a held last frame. `read` decodes the files: `read_sound` in this process where it is None.
    """
    return limit_peaks(_mix(sources, round_half_up(duration_s * SAMPLE_RATE), read or read_sound))


def _mix(sources: Sequence[SoundSegment], total: int, read: SoundReader) -> Iterator[Block]:
    """Yield the sum of all sources in blocks of 0.1 s."""
    voices = [_rechunked(_segment_samples(source, total, read), total) for source in sources]
    for begin in range(0, total, _BLOCK):
        mix = np.zeros((min(_BLOCK, total - begin), 2), np.float32)
        for voice, source in zip(voices, sources, strict=True):
            mix += _with_gain(next(voice), source, begin)
        yield mix


def _with_gain(block: Block, source: SoundSegment, begin: int) -> Block:
    if not source.levels:
        return block
    seconds, factors = zip(*source.levels, strict=True)
    level = np.interp(np.arange(begin, begin + len(block)) / SAMPLE_RATE, seconds, factors)
    return np.asarray(block * level[:, None], np.float32)


def _segment_samples(source: SoundSegment, total: int, read: SoundReader) -> Iterator[Block]:
    """One source's samples for the whole timeline, in blocks of any size, `total` in all."""
    turn_s = max(source.frame_s, 2 * (source.length_s - source.frame_s))
    period_s = {"loop": source.length_s, "pingpong": turn_s}.get(source.fill)
    first = min(total, round_half_up(source.delay_s * SAMPLE_RATE))
    yield from _silence(first)
    begin, rounds = first, 0
    while begin < total:
        rounds += 1
        after_s = source.delay_s + rounds * (period_s or 0)
        end = total if period_s is None else max(begin + 1, min(total, round_half_up(after_s * SAMPLE_RATE)))
        heard = min(end - begin, round_half_up(source.length_s * SAMPLE_RATE))
        with closing(read(source.path, Fraction(source.start_s))) as samples:
            yield from _faded(_padded(samples, heard), heard)
        yield from _silence(end - begin - heard)
        begin = end


def read_sound(path: Path, start_s: Fraction = Fraction(0), limits: Limits = PRIVATE) -> Generator[Block, None, None]:
    """The file's sound from `start_s` after its first picture on, float32 (n, 2) at 48 kHz in blocks of any size.

    Gaps between time stamps are silence. Nothing comes where the file has no sound track, or where it has ended.
    """
    start = clip_start(path, limits) + start_s
    with open_media(path, limits) as container:
        stream = sound_stream(container)
        if stream is None:
            return
        if start > _SEEK_BEYOND_S:
            _seek(container, stream, start - 1)
        given = 0
        for frame in _resampled(path, container, stream):
            samples = np.asarray(frame.to_ndarray(), np.float32).reshape(-1, frame.layout.nb_channels)
            samples = np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0).clip(-_LOUDEST, _LOUDEST)
            block = samples @ downmix_matrix([channel.name for channel in frame.layout.channels])
            at = given
            if frame.pts is not None and frame.time_base is not None:
                at = round_half_up((frame.pts * frame.time_base - start) * SAMPLE_RATE)
            if given and abs(at - given) <= _SLACK:
                at = given
            yield from _silence(at - given)
            block = block[max(0, given - at) :]
            given = max(given, at) + len(block)
            yield block


def _seek(container: InputContainer, stream: AudioStream, target: Fraction) -> None:
    try:
        container.seek(int(target / (stream.time_base or Fraction(1, SAMPLE_RATE))), stream=stream)
    except av.error.FFmpegError:
        return  # a container that cannot seek is read from its beginning


def _resampled(path: Path, container: InputContainer, stream: AudioStream) -> Iterator[AudioFrame]:
    """Interleaved float32 frames at 48 kHz with their own channels, even where the stream changes its format."""
    resampler: AudioResampler | None = None
    shape: tuple[object, ...] = ()
    for frame in decode(container, stream, []):
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if resampler is None or kind != shape:
            _check_rate(path, frame.sample_rate)
            yield from resampler.resample(None) if resampler else ()
            resampler, shape = AudioResampler("flt", frame.layout, SAMPLE_RATE), kind
        yield from resampler.resample(frame)
    yield from resampler.resample(None) if resampler else ()


def _check_rate(path: Path, rate: int) -> None:
    """Refuse rates out of range: a damaged one would make hours of sound from a few bytes."""
    if not _RATES[0] <= rate <= _RATES[1]:
        raise MediaError(
            "the sound of {path} has {rate} samples a second, and {least} to {most} can be read: convert it to 48000",
            path=path,
            rate=rate,
            least=_RATES[0],
            most=_RATES[1],
        )


def _silence(samples: int) -> Iterator[Block]:
    for begin in range(0, samples, _BLOCK):
        yield np.zeros((min(_BLOCK, samples - begin), 2), np.float32)


def _padded(blocks: Iterator[Block], samples: int) -> Iterator[Block]:
    """Cut `blocks`, or append silence, to `samples` in total."""
    left = samples
    for block in blocks:
        yield block[:left]
        left -= min(left, len(block))
        if not left:
            return
    yield from _silence(left)


def _faded(blocks: Iterator[Block], samples: int) -> Iterator[Block]:
    """`blocks`, `samples` long in all, with a short ramp at both ends."""
    begin = 0
    for block in blocks:
        position = np.arange(begin, begin + len(block))
        ramp = np.minimum(position + 1, samples - position) / _FADE
        yield block * np.minimum(1, ramp)[:, None].astype(np.float32)
        begin += len(block)


def _rechunked(blocks: Iterator[Block], total: int) -> Iterator[Block]:
    """Yield the same samples in blocks of 0.1 s; the last block may be shorter."""
    parts: list[Block] = []
    held = 0
    for block in _padded(blocks, total):
        parts.append(block)
        held += len(block)
        if held < _BLOCK:
            continue
        whole = np.concatenate(parts)
        for begin in range(0, held - _BLOCK + 1, _BLOCK):
            yield whole[begin : begin + _BLOCK]
        parts = [whole[held - held % _BLOCK :]]
        held %= _BLOCK
    if held:
        yield np.concatenate(parts)
