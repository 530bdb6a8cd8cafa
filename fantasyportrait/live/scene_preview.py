"""The scene preview: one frame, or a loop of one second, of the whole scene at 480 px, made by the preview engine."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.driving.driving_clips import (
    DrivingClip,
    build_timeline,
    check_cast_faces,
    check_clip_range,
    choose_person,
    clip_key,
)
from fantasyportrait.engines.base import Scene, canonical_face
from fantasyportrait.engines.preview import driven_faces
from fantasyportrait.faces.mesh import CanonicalFace
from fantasyportrait.media.writer import VideoWriter
from fantasyportrait.motion.looping import liveliest_start, movement, seamless_loop
from fantasyportrait.preview.engine import HeadShape, SceneRenderer, rows_of
from fantasyportrait.preview.outlines import draw_outlines
from fantasyportrait.schema.cast import ClipSource
from fantasyportrait.schema.driven_face import DrivenFace
from fantasyportrait.schema.face import Track
from fantasyportrait.schema.face_motion import FaceMotion
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.schema.timeline import Timeline, frame_count
from fantasyportrait.service.animator import Animator
from fantasyportrait.service.request_runner import METADATA

RATE = Fraction(25)
LOOP_FRAMES = 25
# Frames in which the end of a loop fades into its beginning.
LEAD_IN = 8
# Seconds of each clip that are looked at: a long clip costs no more than a short one.
CLIP_PART_S = 8.0
# With more moving heads than this, each frame that is drawn is shown two times, with more than twice as many three
# times, and so on: heads are small on such photos, and 25 frames of them would take seconds longer.
HEADS_AT_FULL_RATE = 8
MOST_REPEATS = 5
_OUTLINED, _FADING = 8, 5  # frames: the outline stands, then fades until half a second has passed


def scene_frame(
    animator: Animator,
    request: AnimationRequest,
    at_s: float | None = None,
    *,
    outlines: bool = True,
    cancel: CancelToken | None = None,
) -> NDArray[np.uint8]:
    """One frame of the scene, uint8 (H, W, 3) RGB, at most 480 px on its longest side.

    `at_s`: the time in the result; None gives the first frame of `scene_loop`. With `outlines` each head is outlined
    in the colour of its face. A clip is tracked where its tracks are not cached; a face that is left to the model
    stays still. Raises what `Animator.animate` raises for the portrait, the cast and the clips.
    """
    cancel = cancel or CancelToken()
    if at_s is None:
        return _Preview.of(animator, request, cancel).loop().frame(0, float(outlines))
    preview = _Preview.of(animator, request, cancel, at_s)
    frame = min(int(at_s * RATE), preview.scene.timeline.frames - 1)
    return preview.renderer(preview.driven).frame(frame, float(outlines))


def scene_loop(animator: Animator, request: AnimationRequest, output: Path, cancel: CancelToken | None = None) -> None:
    """Write a silent video of one second that loops without a seam: MP4, 25 frames a second, at most 480 px.

    It shows the second in which most moves; in its first half second each head is outlined in the colour of its face.
    Raises what `scene_frame` raises, `OutputError` and `Cancelled`; then nothing is written.
    """
    cancel = cancel or CancelToken()
    preview = _Preview.of(animator, request, cancel)
    renderer = preview.loop()
    step = int(np.clip(-(-preview.moving // HEADS_AT_FULL_RATE), 1, MOST_REPEATS))
    height, width = preview.scene.pixels.shape[:2]
    with VideoWriter(output, (width, height), RATE, metadata=METADATA) as writer:
        for number in range(LOOP_FRAMES):
            cancel.check()
            writer.write(renderer.frame(number - number % step, outline_strength(number)))


def outline_strength(frame: int) -> float:
    """How strongly heads are outlined in a frame of the loop, 0 to 1."""
    return float(np.clip(1 - (frame + 1 - _OUTLINED) / _FADING, 0, 1))


class _OutlinedRenderer:
    """Draws frames with outlines; the last frame is kept without them, to be shown again."""

    def __init__(self, renderer: SceneRenderer, driven: Sequence[DrivenFace[FaceMotion]]) -> None:
        self._renderer, self._driven = renderer, driven
        self._number = -1
        self._drawn: tuple[NDArray[np.uint8], tuple[HeadShape, ...]]

    def frame(self, number: int, strength: float) -> NDArray[np.uint8]:
        """The frame with outlines of this strength, 0 to 1."""
        if number != self._number:
            self._drawn, self._number = self._renderer.draw_with_heads(rows_of(self._driven, number)), number
        return draw_outlines(*self._drawn, strength)


@dataclass(frozen=True, eq=False)
class _Preview:
    """A small scene and its driven faces, each with the rows that it plays."""

    scene: Scene
    driven: tuple[DrivenFace[FaceMotion], ...]
    canonical: CanonicalFace

    @classmethod
    def of(cls, animator: Animator, request: AnimationRequest, cancel: CancelToken, until_s: float = 0.0) -> "_Preview":
        """The small scene of a request up to `until_s`, and at least as long as a loop needs."""
        portrait = animator.small_portraits.of(request.portrait, request.detector, request.face_edits)
        check_cast_faces(request, portrait.faces)
        clips = _clips(animator, request, max(CLIP_PART_S, until_s + 1), cancel)
        timeline = _timeline(request, clips, until_s)
        tracks = {clip.face: clip.track for clip in clips}
        scene = Scene(portrait.pixels, portrait.faces, tracks, timeline, request)
        canonical = canonical_face(animator.inputs.models_dir)
        cancel.check()
        return cls(scene, driven_faces(scene, canonical), canonical)

    @property
    def moving(self) -> int:
        """The number of heads that move."""
        return sum(each.motion is not None for each in self.driven)

    def renderer(self, driven: tuple[DrivenFace[FaceMotion], ...]) -> _OutlinedRenderer:
        """A renderer of these faces."""
        return _OutlinedRenderer(SceneRenderer(self.scene.pixels, driven, self.canonical), driven)

    def loop(self) -> _OutlinedRenderer:
        """A renderer of the loop's 25 frames, from the second in which most moves."""
        moves = [
            movement(each.motion, each.frame_rows) * each.strength for each in self.driven if each.motion is not None
        ]
        start = liveliest_start(moves, LOOP_FRAMES, LEAD_IN)
        part = slice(start - LEAD_IN, start + LOOP_FRAMES)
        looped = (
            each
            if each.motion is None
            else replace(each, motion=seamless_loop(each.motion, each.frame_rows[part], LEAD_IN), rows=None)
            for each in self.driven
        )
        return self.renderer(tuple(looped))


def _clips(
    animator: Animator, request: AnimationRequest, part_s: float, cancel: CancelToken
) -> tuple[DrivingClip, ...]:
    """The first `part_s` seconds of each clip of the cast, with the track of the chosen person."""
    inputs = animator.inputs
    found = []
    tracks: dict[object, tuple[Track, ...]] = {}
    for role in request.cast:
        source = role.source
        if not isinstance(source, ClipSource):
            continue
        info = inputs.clip_info(source.path)
        check_clip_range(source, info)
        end_s = source.end_s
        if not info.still:
            end_s = source.start_s + part_s if end_s is None else min(end_s, source.start_s + part_s)
        part = replace(source, end_s=end_s)
        key = clip_key(part)
        if key not in tracks:
            tracks[key] = inputs.tracks(source.path, RATE, source.start_s, end_s, cancel=cancel)
        found.append(DrivingClip(role.face, part, info, choose_person(source, tracks[key])))
    return tuple(found)


def _timeline(request: AnimationRequest, clips: tuple[DrivingClip, ...], until_s: float) -> Timeline:
    """The timeline of the result as far as the preview looks: not before `until_s`, and long enough for a loop."""
    duration = "longest" if request.duration == "sound" else request.duration
    frames = build_timeline(duration, RATE, clips).frames
    delay_s = max((clip.source.delay_s for clip in clips), default=0.0)
    most = frame_count(CLIP_PART_S + delay_s, RATE)
    least = max(LEAD_IN + LOOP_FRAMES, frame_count(until_s, RATE) + 1)
    return Timeline(RATE, max(min(frames, most), least))
