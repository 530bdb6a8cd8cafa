"""The estimate of a request before it runs: whether it fits, its peak memory, and its time."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from fantasyportrait.core.errors import DependencyError, RequestError, WeightsError
from fantasyportrait.core.sentences import Sentence
from fantasyportrait.driving.driving_clips import (
    DEFAULT_DURATION_S,
    ClipKey,
    check_cast_faces,
    choose_frame_rate,
    clip_key,
    expected_frames,
)
from fantasyportrait.engines.wan_engine import WanEngine
from fantasyportrait.media.clip_info import ClipInfo
from fantasyportrait.preview.preview_times import PreviewWork
from fantasyportrait.schema.cast import ClipSource, delay_frames
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.schema.timeline import frame_count
from fantasyportrait.service.animator import Animator

# Seconds for each pixel of each frame on two cores, from docs/performance.md: 250 frames of 1084 x 610 with a side by
# side took 29.8 s, of which some 8 s read photo and clips; two faces are rendered at 31 frames a second without one.
_DEFAULT_S = {True: 22 / (250 * 1084 * 610), False: 1 / (31 * 1084 * 610)}


@dataclass(frozen=True)
class RequestEstimate:
    """What a request would cost on this machine.

    Attributes:
        fits: whether it can run here.
        frames: of the video.
        peak_gib: peak memory of the device that makes the frames; None for the preview engine, which needs little.
        seconds: to make frames and files, without reading the photo and analysing clips; None where it cannot run.
        measured: whether runs on this machine are the basis of the time.
        sentence: all of this in words, or why it cannot run.
    """

    fits: bool
    frames: int
    peak_gib: float | None
    seconds: float | None
    measured: bool
    sentence: str


def estimate(animator: Animator, request: AnimationRequest) -> RequestEstimate:
    """The estimate of a request, from past runs of its engine on this machine.

    For the preview engine it only reads headers and a small file, where the faces of the photo are known
    (`Animator.small_portraits`); without a past run it is scaled from figures of another machine, and says so. For the
    diffusion engine the first estimate of a model measures the machine for some seconds. Raises what
    `Animator.animate` raises for the portrait, the cast and the clips.
    """
    small = animator.small_portraits.of(request.portrait, request.detector, request.face_edits)
    check_cast_faces(request, small.faces)
    engine = animator.engine(request.engine)
    size = engine.frame_size(*small.size, request.max_side)
    frames = _frames(animator, request)
    if isinstance(engine, WanEngine):
        return _of_wan(engine, request, size, len(small.faces), frames)
    return _of_preview(animator, request, size, frames)


def _of_preview(animator: Animator, request: AnimationRequest, size: tuple[int, int], frames: int) -> RequestEstimate:
    work = PreviewWork(*size, frames, request.side_by_side)
    expected_s = animator.inputs.preview_times.expected_s(work)
    measured = expected_s is not None
    seconds = work.pixels * _DEFAULT_S[work.side_by_side] if expected_s is None else expected_s
    basis = (
        "from earlier runs here" if measured else "from figures of a machine with two cores, no run measured here yet"
    )
    beside = " and a side by side" if work.side_by_side else ""
    text = Sentence(
        "{frames} frames of {width} x {height}{beside}: about {duration} ({basis})",
        frames=frames,
        width=size[0],
        height=size[1],
        beside=beside,
        duration=_duration(seconds),
        basis=basis,
    )
    return RequestEstimate(True, frames, None, seconds, measured, text)


def _of_wan(
    engine: WanEngine, request: AnimationRequest, size: tuple[int, int], faces: int, frames: int
) -> RequestEstimate:
    try:
        plan = engine.plan(request, size, faces, frames)
    except (DependencyError, WeightsError, RequestError) as error:
        return RequestEstimate(False, frames, None, None, False, error.sentence)
    found = plan.estimate
    return RequestEstimate(True, frames, found.vram_gib, found.total_s, found.measured, plan.sentence)


def _frames(animator: Animator, request: AnimationRequest) -> int:
    """Frames of the video, from the durations in the headers of its clips and sound."""
    decoder = animator.inputs.decoder
    infos = {clip_key(clip): animator.inputs.clip_info(clip.path) for clip in request.clips}
    rate, _ = choose_frame_rate(request, infos, decoder)
    if not isinstance(request.duration, str):
        return frame_count(request.duration, rate)
    if request.duration == "sound" and request.custom_sound is not None:
        length_s = decoder.sound_length_s(request.custom_sound.path) or Fraction(0)
        return frame_count(max(length_s - Fraction(request.custom_sound.start_s), Fraction(0)), rate)
    clips = _heard(request, infos) if request.duration == "sound" else request.clips
    moving = [clip for clip in clips if not infos[clip_key(clip)].still]
    ends = [delay_frames(clip, rate) + expected_frames(clip, infos[clip_key(clip)], rate) for clip in moving]
    chosen = min if request.duration == "shortest" else max
    return chosen(ends, default=frame_count(DEFAULT_DURATION_S, rate))


def _heard(request: AnimationRequest, infos: dict[ClipKey, ClipInfo]) -> Sequence[ClipSource]:
    """The clips whose sound is in the video."""
    face = int(request.sound.removeprefix("face:")) if request.sound.startswith("face:") else None
    roles = [role for role in request.cast if face is None or role.face == face]
    clips = [role.source for role in roles if isinstance(role.source, ClipSource)]
    return [clip for clip in clips if infos[clip_key(clip)].has_sound]


def _duration(seconds: float) -> str:
    """0.4 s, 17 s, 9 min."""
    if seconds < 10:
        return f"{max(seconds, 0.1):.1f} s"
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
