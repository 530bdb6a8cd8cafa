"""Sound of the driving clips: decoded in passing, laid on the timeline sample by sample, and mixed."""

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
from fantasyportrait.media.containers import clip_zero, decode, open_media, sound_note, sound_stream
from fantasyportrait.media.timeline import Fill, round_half_up
from fantasyportrait.schema.limits import PRIVATE, Limits

SAMPLE_RATE = 48_000
Block = NDArray[np.float32]

_BLOCK = SAMPLE_RATE // 10
_FADE = SAMPLE_RATE // 500  # 2 ms at cuts, against clicks
_SLACK = SAMPLE_RATE // 100  # containers round their stamps: gaps below 10 ms are none
_SEEK_BEYOND_S = 3
_KNEE = 0.7
_RATES = (4_000, 768_000)
SoundReader = Callable[[Path, Fraction], Generator[Block, None, None]]
"""Reads one file's sound from a start in seconds on, as `read_sound` does."""


@dataclass(frozen=True)
class SoundSource:
    """The sound of `path` from `start_s` for `length_s`, the span whose pictures are used, repeated as they are.

    `frame_s` is the length of an output frame: ping-pong turns round on a frame.
    """

    path: Path
    start_s: float
    length_s: Fraction
    fill: Fill = "hold"
    frame_s: Fraction = Fraction(1, 25)

    def __post_init__(self) -> None:
        if self.length_s <= 0 or self.start_s < 0 or self.frame_s <= 0:
            raise RequestError(f"the sound of {self.path} needs a positive length and a start of 0 s or later")


def has_sound(path: Path, limits: Limits = PRIVATE) -> bool:
    """Whether the file has a sound track that can be read. Raises MediaError where it cannot be opened, and for a codec
    that is not allowed."""
    with open_media(path, limits) as container:
        note = sound_note(container, path)
        if note is not None:
            raise MediaError(note)
        return sound_stream(container) is not None


def sound_blocks(
    sources: Sequence[SoundSource], duration_s: Fraction, read: SoundReader | None = None
) -> Iterator[Block]:
    """The mix of `sources`, float32 (n, 2) at 48 kHz within -1 to 1, `duration_s` long to the sample.

    A clip without a sound track is silent; so are ping-pong's backward ways, and what follows a held last frame.
    `read` decodes the files: `read_sound` in this process where it is None.
    """
    total = round_half_up(duration_s * SAMPLE_RATE)
    voices = [_regular(_voice(source, total, read or read_sound), total) for source in sources]
    for begin in range(0, total, _BLOCK):
        mix = np.zeros((min(_BLOCK, total - begin), 2), np.float32)
        for voice in voices:
            mix += next(voice)
        yield _limit(mix) if len(voices) > 1 else mix.clip(-1, 1)


def _limit(mix: Block) -> Block:
    """Leave what is quiet as it is, and bend peaks above the knee so that they stay under full scale."""
    loud = np.abs(mix)
    bent = _KNEE + (1 - _KNEE) * np.tanh((loud - _KNEE) / (1 - _KNEE))
    return np.where(loud <= _KNEE, mix, np.copysign(bent, mix)).astype(np.float32)


def _voice(source: SoundSource, total: int, read: SoundReader) -> Iterator[Block]:
    """One source's samples for the whole timeline, in blocks of any size, `total` in all."""
    turn_s = max(source.frame_s, 2 * (source.length_s - source.frame_s))
    period_s = {"loop": source.length_s, "pingpong": turn_s}.get(source.fill)
    begin, rounds = 0, 0
    while begin < total:
        rounds += 1
        end = total if period_s is None else max(begin + 1, min(total, round_half_up(rounds * period_s * SAMPLE_RATE)))
        heard = min(end - begin, round_half_up(source.length_s * SAMPLE_RATE))
        with closing(read(source.path, Fraction(source.start_s))) as samples:
            yield from _faded(_exactly(samples, heard), heard)
        yield from _silence(end - begin - heard)
        begin = end


def read_sound(path: Path, start_s: Fraction = Fraction(0), limits: Limits = PRIVATE) -> Generator[Block, None, None]:
    """The file's sound from `start_s` after its first picture on, float32 (n, 2) at 48 kHz in blocks of any size.

    Gaps between time stamps are silence. Nothing comes where the file has no sound track, or where it has ended.
    """
    start = clip_zero(path, limits) + start_s
    with open_media(path, limits) as container:
        stream = sound_stream(container)
        if stream is None:
            return
        if start > _SEEK_BEYOND_S:
            _seek(container, stream, start - 1)
        given = 0
        for frame in _resampled(path, container, stream):
            channels = frame.layout.nb_channels
            block = np.asarray(frame.to_ndarray(), np.float32).reshape(-1, channels).repeat(2 // channels, axis=1)
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
    """Interleaved float32 frames at 48 kHz, even where the stream changes its rate or channels.

    Mono stays mono: the resampler would spread it at -3 dB. All else becomes stereo.
    """
    resampler: AudioResampler | None = None
    shape: tuple[object, ...] = ()
    for frame in decode(container, stream, []):
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if resampler is None or kind != shape:
            _check_rate(path, frame.sample_rate)
            yield from resampler.resample(None) if resampler else ()
            resampler, shape = (
                AudioResampler("flt", "mono" if frame.layout.nb_channels == 1 else "stereo", SAMPLE_RATE),
                kind,
            )
        yield from resampler.resample(frame)
    yield from resampler.resample(None) if resampler else ()


def _check_rate(path: Path, rate: int) -> None:
    """A damaged rate would make hours of sound out of a few bytes."""
    if not _RATES[0] <= rate <= _RATES[1]:
        raise MediaError(
            f"the sound of {path} has {rate} samples a second, and {_RATES[0]} to {_RATES[1]} can be read: convert it "
            "to 48000"
        )


def _silence(samples: int) -> Iterator[Block]:
    for begin in range(0, samples, _BLOCK):
        yield np.zeros((min(_BLOCK, samples - begin), 2), np.float32)


def _exactly(blocks: Iterator[Block], samples: int) -> Iterator[Block]:
    """`blocks` cut, or followed by silence, to `samples` in all."""
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


def _regular(blocks: Iterator[Block], total: int) -> Iterator[Block]:
    """The same samples in blocks of 0.1 s; the last one is what is left."""
    parts: list[Block] = []
    held = 0
    for block in _exactly(blocks, total):
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
