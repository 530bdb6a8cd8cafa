"""Cut several videos into one reel, with a title card, cross-fades, captions and music."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from math import pi, sin
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.errors import MediaError, OutputError, RequestError
from fantasyportrait.core.optional import check_installed
from fantasyportrait.images.images import even_size
from fantasyportrait.media.clip_info import ClipInfo
from fantasyportrait.media.decoder import Decoder, LocalDecoder
from fantasyportrait.media.frame_rates import nearest_standard
from fantasyportrait.media.request_files import load_request
from fantasyportrait.media.sound import SoundSegment, sound_blocks
from fantasyportrait.media.writer import VideoWriter
from fantasyportrait.reel.reel_scene import EXTRA, PURPOSE, Shot, reel_frames
from fantasyportrait.reel.title_cards import caption, title_card, usable_font
from fantasyportrait.schema.cast import BuiltinSource, ClipSource, Role
from fantasyportrait.schema.checks import check_choice, check_number
from fantasyportrait.schema.sound_file import SoundFile
from fantasyportrait.schema.timeline import Timeline, frame_count, round_half_up

MAX_CLIPS = 50
MAX_DURATION_S = 1800
TITLE_S, STILL_S = Fraction(3), Fraction(3)
MAX_SIDE, FASTEST = 1920, Fraction(60)
CAPTIONS = ("none", "name", "cast")
_DUCKED, _DUCK_S = 0.25, 0.5
_MUSIC_IN_S, _MUSIC_OUT_S = 0.5, 2.0

Levels = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Reel:
    """The description of a reel.

    Attributes:
        clips: videos and pictures, in their order, at most 50.
        title, subtitle: of a card at the beginning; no card without a title.
        captions: a text for each clip, or where to take them from: none, the file's name, or the cast of its request.
        fade_s: length of the cross-fades, and of the fades at both ends; 0 for cuts.
        music: a sound under everything; it is repeated where it is shorter, and turned down while a clip has sound.
        music_volume: 0 to 1.
        size: (width, height), even; None for that of the clip with most pixels, at most 1920.
        rate: frames a second; None for those of the fastest clip, at most 60.
        font: a font file for title and captions; None for a bundled one, or the system's where that lacks a letter.
    """

    clips: tuple[Path, ...]
    title: str = ""
    subtitle: str = ""
    captions: tuple[str, ...] | Literal["none", "name", "cast"] = "none"
    fade_s: float = 0.6
    music: SoundFile | None = None
    music_volume: float = 0.6
    size: tuple[int, int] | None = None
    rate: Fraction | None = None
    font: Path | None = None

    def __post_init__(self) -> None:
        if not 1 <= len(self.clips) <= MAX_CLIPS:
            raise RequestError(
                "a reel of {clips} clips cannot be made: give 1 to {max_clips}",
                clips=len(self.clips),
                max_clips=MAX_CLIPS,
            )
        check_number("fade", self.fade_s, 0, 5)
        check_number("music-volume", self.music_volume, 0, 1)
        if self.subtitle and not self.title:
            raise RequestError("a subtitle is given without a title: give --title as well")
        if isinstance(self.captions, str):
            check_choice("captions", self.captions, CAPTIONS)
        elif len(self.captions) != len(self.clips):
            raise RequestError(
                "{captions} captions are given for {clips} clips: give one for each",
                captions=len(self.captions),
                clips=len(self.clips),
            )
        if self.size is not None and not all(64 <= side <= 4096 and side % 2 == 0 for side in self.size):
            raise RequestError(
                "size is {width}x{height}: give even sides from 64 to 4096", width=self.size[0], height=self.size[1]
            )


@dataclass(frozen=True)
class Cut:
    """One clip of the reel and the frames that it fills."""

    info: ClipInfo
    begin: int
    frames: int

    @property
    def end(self) -> int:
        """The first frame after it."""
        return self.begin + self.frames


def make_reel(
    reel: Reel, output: Path, progress: Callable[[int, int], None] | None = None, decoder: Decoder | None = None
) -> Timeline:
    """Write the reel to `output` (.mp4, .webm or .gif) and return its time line; `progress` gets (frames done, all).

    `decoder` reads the clips and the music, in this process where it is None. Raises `DependencyError` without moviepy,
    `MediaError` for a clip that cannot be read, `RequestError` for one that does not fit, `OutputError`. Then nothing
    is written.
    """
    check_installed("moviepy", extra=EXTRA, purpose=PURPOSE)
    _check_output(reel, output)
    decoder = decoder or LocalDecoder()
    infos = [decoder.probe(path) for path in reel.clips]
    texts = _captions(reel)
    font = usable_font((reel.title, reel.subtitle, *texts), reel.font)
    size, rate = reel.size or _canvas(infos), reel.rate or _rate(infos, decoder)
    fade = round_half_up(Fraction(reel.fade_s) * rate)
    first = frame_count(TITLE_S, rate) if reel.title else 0
    cuts = _cuts(infos, rate, fade, first)
    timeline = Timeline(rate, cuts[-1].end)
    shots = [_shot(cut, rate, size, (text, font), decoder) for cut, text in zip(cuts, texts, strict=True)]
    if reel.title:
        card = title_card(size, reel.title, reel.subtitle, font)
        shots.insert(0, Shot(lambda: iter([card]), 0, first))
    sources = [*_clip_sounds(cuts, rate, fade), *_music(reel, cuts, timeline, decoder)]
    sound = sound_blocks(sources, timeline.duration_s, decoder.sound) if sources else None
    metadata = {"title": reel.title} if reel.title else None
    with VideoWriter(output, size, rate, sound, metadata) as writer:
        for number, frame in enumerate(reel_frames(shots, size, rate, fade), 1):
            writer.write(frame)
            if progress is not None:
                progress(number, timeline.frames)
    return timeline


def _check_output(reel: Reel, output: Path) -> None:
    if output.suffix.lower() not in (".mp4", ".webm", ".gif"):
        raise RequestError(
            "the output {output} ends in {suffix!r}: end it in .mp4, .webm or .gif", output=output, suffix=output.suffix
        )
    if not output.parent.is_dir():
        raise OutputError(
            "the output's folder {parent} does not exist: make it, or choose another", parent=output.parent
        )
    inputs = [*reel.clips, *([reel.music.path] if reel.music else [])]
    if any(path.resolve() == output.resolve() for path in inputs):
        raise RequestError("the output would overwrite its input {output}: choose another name", output=output)


def _canvas(infos: Sequence[ClipInfo]) -> tuple[int, int]:
    largest = max(infos, key=lambda info: info.width * info.height)
    return even_size(largest.width, largest.height, MAX_SIDE)


def _rate(infos: Sequence[ClipInfo], decoder: Decoder) -> Fraction:
    """The highest frame rate of the clips, at most 60."""
    measured = [decoder.native_rate(info.path) for info in infos]
    rates = [rate if steady else nearest_standard(rate) for rate, steady in filter(None, measured)]
    return min(max([*rates, Fraction(10)]), FASTEST) if rates else Fraction(25)


def _cuts(infos: Sequence[ClipInfo], rate: Fraction, fade: int, begin: int) -> list[Cut]:
    """Place the clips in order from frame `begin`; each overlaps the last `fade` frames of the one before."""
    cuts: list[Cut] = []
    for info in infos:
        length_s = STILL_S if info.still else Fraction(info.duration_s)
        frames = frame_count(length_s, rate)
        if frames < 2 * fade:
            raise RequestError(
                "{path} lasts {length_s:.2f} s, too short for two fades of {fade:.2f} s: "
                "give --fade {longest:g} or less",
                path=info.path,
                length_s=float(length_s),
                fade=float(fade / rate),
                longest=int(50 * length_s) / 100,
            )
        begin = max(0, begin - fade)
        cuts.append(Cut(info, begin, frames))
        begin += frames
        if begin > MAX_DURATION_S * rate:
            raise RequestError(
                "with {path} the reel lasts over {max_duration_s} minutes: leave clips out",
                path=info.path,
                max_duration_s=MAX_DURATION_S // 60,
            )
    return cuts


def _shot(cut: Cut, rate: Fraction, size: tuple[int, int], written: tuple[str, Path | None], decoder: Decoder) -> Shot:
    """Return the shot of a clip; `written` is its caption and the font."""
    text, font = written

    def frames() -> Iterator[NDArray[np.uint8]]:
        with closing(decoder.frames(cut.info.path, rate, max_side=max(size))) as timed:
            yield from (pixels for _, pixels in timed)

    return Shot(frames, cut.begin, cut.frames, caption(size, text, font) if text else None)


def _captions(reel: Reel) -> tuple[str, ...]:
    if not isinstance(reel.captions, str):
        return reel.captions
    if reel.captions == "name":
        return tuple(path.stem for path in reel.clips)
    return tuple(_cast_of(path) if reel.captions == "cast" else "" for path in reel.clips)


def _cast_of(clip: Path) -> str:
    """Describe the cast by the request that is saved next to the clip or embedded in it."""
    beside = [clip.with_name(f"{clip.name}.request.json"), clip.with_name(f"{clip.stem}.request.json")]
    saved = next((path for path in beside if path.is_file()), None)
    try:
        request = load_request(saved or clip)
    except RequestError as error:
        if saved is not None:
            raise
        raise MediaError(
            "there is no request next to {clip} or in it, so its cast is not known: give the captions with --caption",
            clip=clip,
        ) from error
    played = [(role.face, _source_label(role)) for role in request.cast]
    return ", ".join(f"{face}: {source}" for face, source in played if source)


def _source_label(role: Role) -> str:
    if isinstance(role.source, ClipSource):
        return role.source.path.stem
    return role.source.name if isinstance(role.source, BuiltinSource) else ""


def _clip_sounds(cuts: Sequence[Cut], rate: Fraction, fade: int) -> Iterator[SoundSegment]:
    for cut in cuts:
        if cut.info.has_sound:
            begin_s, length_s = cut.begin / rate, cut.frames / rate
            levels = _faded(float(begin_s), float(begin_s + length_s), float(fade / rate))
            yield SoundSegment(cut.info.path, 0.0, length_s, delay_s=begin_s, levels=levels)


def _faded(begin_s: float, end_s: float, fade_s: float) -> Levels:
    """Fade in and out with equal power: two sounds that cross have together the power of one."""
    if not fade_s:
        return ()
    steps = [step / 8 for step in range(9)]
    rise = [(begin_s + step * fade_s, sin(step * pi / 2)) for step in steps]
    fall = [(end_s - step * fade_s, sin(step * pi / 2)) for step in reversed(steps)]
    return (*rise, *fall)


def _music(reel: Reel, cuts: Sequence[Cut], timeline: Timeline, decoder: Decoder) -> list[SoundSegment]:
    """Return the music, lowered while a clip has sound, faded in and out."""
    if reel.music is None:
        return []
    length_s = decoder.sound_length_s(reel.music.path) - Fraction(reel.music.start_s)
    if length_s <= 0:
        raise RequestError(
            "the music {path} has no sound from {start_s:g} s on: choose another file or start",
            path=reel.music.path,
            start_s=reel.music.start_s,
        )
    rate = timeline.rate
    heard = [(float(cut.begin / rate), float(cut.end / rate)) for cut in cuts if cut.info.has_sound]
    levels = music_levels(heard, float(timeline.duration_s), reel.music_volume)
    return [SoundSegment(reel.music.path, reel.music.start_s, length_s, "loop", 1 / rate, levels=levels)]


def music_levels(heard: Sequence[tuple[float, float]], duration_s: float, volume: float) -> Levels:
    """Return the music's levels over a reel: `volume`, a quarter of it in the spans (begin, end) of `heard` clips."""
    ends = [0.0, _MUSIC_IN_S, duration_s - _MUSIC_OUT_S, duration_s]
    slopes = [time for begin, end in heard for time in (begin - _DUCK_S, begin, end, end + _DUCK_S)]
    times = sorted({min(max(time, 0.0), duration_s) for time in (*ends, *slopes)})

    def level(time: float) -> float:
        away = min((max(begin - time, time - end, 0.0) for begin, end in heard), default=_DUCK_S)
        ducked = float(np.interp(away, (0, _DUCK_S), (_DUCKED, 1)))
        edge = min(time / _MUSIC_IN_S, (duration_s - time) / _MUSIC_OUT_S, 1.0)
        return volume * ducked * max(edge, 0.0)

    return tuple((time, level(time)) for time in times)
