"""The sound track: which clips contribute sound, when, and messages about sound of another length."""

from collections.abc import Sequence
from fractions import Fraction

from fantasyportrait.core.sentences import Sentence
from fantasyportrait.driving.driving_clips import DrivingClip, clip_key, end_frame
from fantasyportrait.media.sound import SoundSegment
from fantasyportrait.schema.cast import delay_frames
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.schema.timeline import FillMode, Timeline

_SHORTEST_SOUND_FIRST: tuple[FillMode, ...] = ("hold", "pingpong", "loop")
_UNNOTICED_S = Fraction(1, 10)  # encoders pad sound by less


def sound_sources(
    request: AnimationRequest, clips: Sequence[DrivingClip], timeline: Timeline
) -> tuple[tuple[SoundSegment, ...], list[str]]:
    """The sources to mix (none: a silent video without a sound track), and messages about what is missing.

    A clip that drives two faces is mixed once for each time at which it begins.
    """
    if request.sound == "none":
        return (), []
    if request.custom_sound is not None:
        return (SoundSegment(request.custom_sound.path, request.custom_sound.start_s, timeline.duration_s),), []
    heard = audible_clips(request, clips)
    messages: list[str] = []
    if not heard and request.sound != "auto":
        wanted = _wanted(request, clips)
        names = ", ".join(sorted({clip.source.path.name for clip in wanted})) or "the cast"
        messages.append(Sentence("{names} has no sound, so the result is silent", names=names))
    return tuple(_source(clip, request, timeline) for clip in heard), messages


def audible_clips(request: AnimationRequest, clips: Sequence[DrivingClip]) -> list[DrivingClip]:
    """The clips with sound that are mixed, each once for every time at which it begins."""
    if request.sound == "none" or request.custom_sound is not None:
        return []
    wanted = [clip for clip in _wanted(request, clips) if clip.info.has_sound]
    # Of two roles of one clip that differ in their fill, the one whose sound lasts longer is mixed.
    wanted.sort(key=lambda clip: _SHORTEST_SOUND_FIRST.index(request.fill_of(clip.source)))
    return list({(clip_key(clip.source), clip.source.delay_s): clip for clip in wanted}.values())


def audible_duration_s(request: AnimationRequest, clips: Sequence[DrivingClip], rate: Fraction) -> Fraction | None:
    """When the last of the mixed clips ends, played once, in seconds; None without any."""
    return max((end_frame(clip, rate) / rate for clip in audible_clips(request, clips)), default=None)


def sound_messages(
    request: AnimationRequest, clips: Sequence[DrivingClip], timeline: Timeline, file_s: Fraction | None
) -> list[str]:
    """Messages about sound that is longer or shorter than the video; `file_s`: seconds of the request's sound file."""
    video_s = timeline.duration_s
    if request.custom_sound is not None:
        if file_s is None or abs(file_s - video_s) <= _UNNOTICED_S:
            return []
        start_s = request.custom_sound.start_s
        begun = Sentence(" from {start_s:g} s on", start_s=start_s) if start_s else ""
        end = "it is cut off at the end" if file_s > video_s else "the rest is silent"
        name = request.custom_sound.path.name
        return [
            Sentence(
                "the sound of {name}{begun} lasts {file_s:.1f} s and the video {video_s:.1f} s: {end}",
                name=name,
                begun=begun,
                file_s=float(file_s),
                video_s=float(video_s),
                end=end,
            )
        ]
    return [message for clip in audible_clips(request, clips) for message in _clip_messages(clip, request, timeline)]


def _clip_messages(clip: DrivingClip, request: AnimationRequest, timeline: Timeline) -> list[str]:
    name, video_s = clip.source.path.name, float(timeline.duration_s)
    fill = request.fill_of(clip.source)
    end = end_frame(clip, timeline.rate)
    end_s = float(end / timeline.rate)
    if end - timeline.frames > _UNNOTICED_S * timeline.rate:
        return [
            Sentence(
                "the sound of {name} ends at {end:.1f} s and the video at {length:.1f} s: it is cut off there",
                name=name,
                end=end_s,
                length=video_s,
            )
        ]
    if timeline.frames - end <= _UNNOTICED_S * timeline.rate or fill == "loop":
        return []
    if fill == "hold":
        return [
            Sentence(
                "the sound of {name} ends at {end:.1f} s and the video at {length:.1f} s: its last frame is held in "
                "silence",
                name=name,
                end=end_s,
                length=video_s,
            )
        ]
    return [Sentence("ping-pong plays the sound of {name} only forwards; backwards it is silent", name=name)]


def _wanted(request: AnimationRequest, clips: Sequence[DrivingClip]) -> list[DrivingClip]:
    if request.sound.startswith("face:"):
        return [clip for clip in clips if clip.face == int(request.sound.removeprefix("face:"))]
    return list(clips)


def _source(clip: DrivingClip, request: AnimationRequest, timeline: Timeline) -> SoundSegment:
    frame_s = 1 / timeline.rate
    delay_s = delay_frames(clip.source, timeline.rate) * frame_s
    length_s = len(clip.track) * frame_s
    return SoundSegment(clip.source.path, clip.source.start_s, length_s, request.fill_of(clip.source), frame_s, delay_s)
