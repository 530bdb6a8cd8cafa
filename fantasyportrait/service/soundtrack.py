"""Which clips are heard in the result."""

from collections.abc import Sequence

from fantasyportrait.media.sound import SoundSource
from fantasyportrait.media.timeline import Timeline
from fantasyportrait.service.driving import DrivingClip, clip_key
from fantasyportrait.service.request import AnimationRequest


def sound_sources(
    request: AnimationRequest, clips: Sequence[DrivingClip], timeline: Timeline
) -> tuple[tuple[SoundSource, ...], list[str]]:
    """The sources to mix (none: a silent video without a sound track), and notes about what is missing.

    A clip that drives two faces is heard once.
    """
    if request.sound == "none":
        return (), []
    if request.sound_file is not None:
        return (SoundSource(request.sound_file, 0.0, timeline.duration_s),), []
    wanted = list(clips)
    if request.sound.startswith("face:"):
        wanted = [clip for clip in clips if clip.face == int(request.sound.removeprefix("face:"))]
    heard = {clip_key(clip.source): clip for clip in wanted if clip.info.has_sound}
    notes = []
    if not heard and request.sound != "auto":
        names = ", ".join(sorted({clip.source.path.name for clip in wanted})) or "the cast"
        notes.append(f"{names} has no sound, so the result is silent")
    return tuple(_source(clip, request, timeline) for clip in heard.values()), notes


def _source(clip: DrivingClip, request: AnimationRequest, timeline: Timeline) -> SoundSource:
    frame_s = 1 / timeline.rate
    return SoundSource(clip.source.path, clip.source.start_s, len(clip.track) * frame_s, request.fill, frame_s)
