"""The preview engine: the CPU renderer of `preview/` behind the protocol of an engine."""

from collections.abc import Generator
from pathlib import Path

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.engines.base import (
    EngineCallbacks,
    Frame,
    Scene,
    canonical_face,
    loop_length,
    motion_frame_indices,
)
from fantasyportrait.faces.mesh import CanonicalFace, mirrored_blendshapes, mirrored_points
from fantasyportrait.images.images import even_size
from fantasyportrait.motion.builtin import builtin_motion
from fantasyportrait.motion.from_track import motion_from_track
from fantasyportrait.preview.engine import render
from fantasyportrait.schema.cast import BuiltinSource, FreeSource
from fantasyportrait.schema.driven_face import DrivenFace
from fantasyportrait.schema.face import MaskedFace
from fantasyportrait.schema.face_motion import FaceMotion
from fantasyportrait.schema.request import AnimationRequest

PREVIEW_MAX_SIDE = 1280


class PreviewEngine:
    """The CPU engine."""

    name = "preview"

    def __init__(self, models_dir: Path | None = None) -> None:
        self._models_dir = models_dir

    def check(self, request: AnimationRequest) -> None:
        """Nothing is missing: small models are fetched when they are used."""

    def frame_size(self, width: int, height: int, max_side: int | None) -> tuple[int, int]:
        """The photo's own size, reduced where a side is longer than `max_side` (default 1280), both sides even."""
        return even_size(width, height, max_side or PREVIEW_MAX_SIDE)

    def render(self, scene: Scene, cancel: CancelToken, callbacks: EngineCallbacks) -> Generator[Frame, None, None]:
        """Yield the scene's frames, one at a time."""
        canonical = canonical_face(self._models_dir)
        driven = [driven_face(face, scene, canonical) for face in scene.faces]
        yield from render(scene.pixels, driven, scene.timeline.frames, canonical, cancel)


def driven_face(face: MaskedFace, scene: Scene, canonical: CanonicalFace) -> DrivenFace[FaceMotion]:
    """The face with its motion: a clip's whole length, or one loop of a built-in motion."""
    role = scene.role(face.id)
    if role is None or role.source is None or isinstance(role.source, FreeSource):
        return DrivenFace(face)
    if isinstance(role.source, BuiltinSource):
        motion = builtin_motion(role.source.name, loop_length(scene.timeline), scene.timeline.rate, canonical)
        if role.mirror:
            motion = _mirrored(motion, canonical)
        # A built-in motion has no pose of its own to take over.
        absolute = False
    else:
        absolute = bool(scene.request.absolute)
        motion = motion_from_track(
            scene.track(face.id),
            canonical,
            smoothing=scene.request.smoothing,
            mirror=role.mirror,
            reference=face if absolute else None,
        )
    rows = motion_frame_indices(role.source, len(motion), scene)
    return DrivenFace(face, motion, role.strength, role.regions, absolute, rows)


def _mirrored(motion: FaceMotion, canonical: CanonicalFace) -> FaceMotion:
    """A built-in motion with left and right swapped; its face is centred on x = 0."""
    return FaceMotion(
        mirrored_points(motion.neutral, 1, canonical.mirror),
        mirrored_blendshapes(motion.neutral_blendshapes),
        mirrored_points(motion.landmarks, 1, canonical.mirror),
        mirrored_blendshapes(motion.blendshapes),
    )
