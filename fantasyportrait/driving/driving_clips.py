"""The driving stage: track every clip of the cast once, and choose one person for each role."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from fantasyportrait.core.errors import FaceError, RequestError
from fantasyportrait.core.limits import PRIVATE
from fantasyportrait.core.sentences import Sentence
from fantasyportrait.faces.track_report import crowd_warning, report_track
from fantasyportrait.media.clip_info import ClipInfo
from fantasyportrait.media.decoder import Decoder
from fantasyportrait.media.frame_rates import nearest_standard
from fantasyportrait.schema.cast import MAX_DURATION_S, ClipSource, delay_frames
from fantasyportrait.schema.checks import check_number
from fantasyportrait.schema.converters import DurationMode
from fantasyportrait.schema.face import Face, Track
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.schema.timeline import MAX_RATE, MIN_RATE, Timeline, frame_count

DEFAULT_DURATION_S = 4
MISSING_S = Fraction(1, 2)

ClipKey = tuple[str, float, float | None]


@dataclass(frozen=True, eq=False)
class DrivingClip:
    """A clip of the cast that drives `face`; `track` is that of the chosen person."""

    face: int
    source: ClipSource
    info: ClipInfo
    track: Track


def clip_key(source: ClipSource) -> ClipKey:
    """The identity of the frames that a source shows: path, start and end, without the chosen person."""
    return str(source.path), source.start_s, source.end_s


def check_clip_range(source: ClipSource, info: ClipInfo) -> None:
    """Raise `RequestError` for a start or end of a still picture."""
    if info.still and (source.start_s or source.end_s is not None):
        raise RequestError("{path} is a picture, which has no start and end: leave them out", path=source.path)


def check_cast_faces(request: AnimationRequest, faces: Sequence[Face]) -> None:
    """Raise `RequestError` where the cast names a face that the photo does not show."""
    known = {face.id for face in faces}
    unknown = sorted(role.face for role in request.cast if role.face not in known)
    if unknown:
        names = ", ".join(str(face) for face in unknown)
        raise RequestError(
            "the photo shows {faces} but the cast names face {names}: faces are numbered row by row, left to right",
            faces=_count(faces),
            names=names,
        )


def _count(faces: Sequence[Face]) -> str:
    """How many faces, with their numbers where some are missing between."""
    numbers = [face.id for face in faces]
    count = "1 face" if len(numbers) == 1 else f"{len(numbers)} faces"
    whole = numbers == list(range(1, len(numbers) + 1))
    return count if whole else f"{count} ({', '.join(str(number) for number in numbers)})"


def choose_frame_rate(
    request: AnimationRequest, infos: Mapping[ClipKey, ClipInfo], decoder: Decoder
) -> tuple[Fraction, list[str]]:
    """The result's frame rate, and messages. It is the request's, or that of the first moving clip of its cast.

    Raises `RequestError` where only still pictures drive.
    """
    if isinstance(request.rate, Fraction):
        return request.rate, []
    path = next((clip.path for clip in request.clips if not infos[clip_key(clip)].still), None)
    measured = None if path is None else decoder.native_rate(path)
    if path is None or measured is None:
        raise RequestError("rate is 'clip', but the cast's clips are still pictures: give frames a second, such as 25")
    own, steady = measured
    rate = min(max(own if steady else nearest_standard(own), Fraction(MIN_RATE)), Fraction(MAX_RATE))
    if rate == own:
        return rate, []
    why = (
        Sentence("runs at {own:.4g} frames a second", own=float(own))
        if steady
        else Sentence("varies around {own:.4g} frames a second", own=float(own))
    )
    return rate, [Sentence("{name} {why}: the video has {rate:.5g}", name=path.name, why=why, rate=float(rate))]


def choose_person(source: ClipSource, tracks: Sequence[Track]) -> Track:
    """The track of the person that the source names, or of the one with the largest visible face."""
    if not tracks:
        raise FaceError("no face was found in {path}: choose a clip that shows one", path=source.path)
    if source.person is None:
        return max(tracks, key=_seen_area)
    for track in tracks:
        if track.person == source.person:
            return track
    known = ", ".join(str(track.person) for track in tracks)
    raise FaceError(
        "{path} shows person {known}, but the cast names person {person}: choose one of these",
        path=source.path,
        known=known,
        person=source.person,
    )


def expected_frames(source: ClipSource, info: ClipInfo, rate: Fraction) -> int:
    """How many frames of the clip are used, from the duration in its header."""
    end_s = info.duration_s if source.end_s is None else min(source.end_s, info.duration_s)
    return frame_count(max(end_s - source.start_s, 0.0), rate)


def reported_duration_s(source: ClipSource, rate: Fraction, decoder: Decoder) -> float | None:
    """When the used part of the clip ends in a result of `rate`, in seconds, from the duration in the clip's header.

    None for a still picture, which has no duration. Raises `MediaError` for an unreadable clip.
    """
    info = decoder.probe(source.path)
    return None if info.still else float((delay_frames(source, rate) + expected_frames(source, info, rate)) / rate)


def clip_messages(clip: DrivingClip, rate: Fraction, max_rows: int = PRIVATE.track_rows) -> list[str]:
    """Messages about the clip and the chosen person, each with the clip's name. `max_rows`: limit of a track's rows."""
    name = clip.source.path.name
    messages = [*clip.info.messages]
    found = report_track(clip.track, None if clip.info.still else rate, (clip.info.width, clip.info.height))
    messages += [
        Sentence("{name}, person {person}: {text}", name=name, person=clip.track.person, text=text)
        for text in found.warnings
    ]
    if clip.info.still and clip.source.delay_s:
        messages.append(
            Sentence(
                "{name} is a picture: its expression is held from the beginning, the delay changes nothing", name=name
            )
        )
    expected = expected_frames(clip.source, clip.info, rate)
    if expected - len(clip.track) > MISSING_S * rate:
        held_s, stated_s = float(len(clip.track) / rate), float(expected / rate)
        if len(clip.track) >= max_rows:
            messages.append(
                Sentence(
                    "{name} is used for {held_s:.1f} s of {stated_s:.1f} s, as a motion may have {max_rows} frames: "
                    "choose another part with start and end",
                    name=name,
                    held_s=held_s,
                    stated_s=stated_s,
                    max_rows=max_rows,
                )
            )
        else:
            messages.append(
                Sentence(
                    "{name} is cut off: {held_s:.1f} s of {stated_s:.1f} s could be read and are used",
                    name=name,
                    held_s=held_s,
                    stated_s=stated_s,
                )
            )
    crowd = crowd_warning(clip.track)
    if crowd:
        messages.append(Sentence("{name}: {text}", name=name, text=crowd))
    return messages


def late_start_messages(clips: Sequence[DrivingClip], timeline: Timeline) -> list[str]:
    """A message for each clip that its delay starts after the end of the result."""
    return [
        Sentence(
            "{name} begins at {delay:g} s, after the end of the video "
            "({length:.1f} s): face {face} only shows its first frame",
            name=clip.source.path.name,
            delay=clip.source.delay_s,
            length=float(timeline.duration_s),
            face=clip.face,
        )
        for clip in clips
        if not clip.info.still and delay_frames(clip.source, timeline.rate) >= timeline.frames
    ]


def end_frame(clip: DrivingClip, rate: Fraction) -> int:
    """The frame of the result at which the clip ends, played once after its delay."""
    return delay_frames(clip.source, rate) + len(clip.track)


def build_timeline(
    duration: float | DurationMode,
    rate: Fraction,
    clips: Sequence[DrivingClip],
    sound_s: Fraction | None = None,
) -> Timeline:
    """The result's timeline: a given length, that of the longest or shortest clip, or that of the sound, `sound_s`.

    The delay of a clip counts; still pictures are skipped; without a clip it lasts 4 s. Raises `RequestError` for the
    duration "sound" without a sound.
    """
    if duration == "sound":
        if not sound_s:
            raise RequestError("duration is 'sound', but no clip has sound: give a sound as file:PATH, or seconds")
        check_number("the length of the sound", float(sound_s), 0, MAX_DURATION_S)
        return Timeline(rate, frame_count(sound_s, rate))
    if not isinstance(duration, str):
        return Timeline(rate, frame_count(duration, rate))
    ends = [end_frame(clip, rate) for clip in clips if not clip.info.still] or [frame_count(DEFAULT_DURATION_S, rate)]
    return Timeline(rate, max(ends) if duration == "longest" else min(ends))


def _seen_area(track: Track) -> float:
    """Mean area of the face's box in pixels, counted as zero in frames without it."""
    sides = track.boxes[:, 2:] - track.boxes[:, :2]
    return float(np.where(track.valid, sides.prod(axis=1), 0).mean())
