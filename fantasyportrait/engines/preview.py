"""The preview engine: the CPU renderer of `preview/` behind the protocol of an engine."""

from collections.abc import Generator
from pathlib import Path

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import RequestError
from fantasyportrait.engines.base import (
    EngineCallbacks,
    Frame,
    Scene,
    ScenePart,
    canonical_face,
    loop_length,
    motion_frame_indices,
)
from fantasyportrait.faces.mesh import CanonicalFace, mirrored_blendshapes, mirrored_points
from fantasyportrait.images.images import even_size
from fantasyportrait.motion.builtin import builtin_motion
from fantasyportrait.motion.face_motion import FaceMotion
from fantasyportrait.motion.from_track import motion_from_track
from fantasyportrait.preview.engine import Part, render
from fantasyportrait.schema.cast import BuiltinSource, FreeSource
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
        parts = [_preview_part(part, scene, canonical) for part in scene.parts]
        yield from render(scene.pixels, parts, scene.timeline.frames, canonical, cancel)


def _preview_part(part: ScenePart, scene: Scene, canonical: CanonicalFace) -> Part:
    motion = _motion(part, scene, canonical)
    role = part.role
    if role is None or motion is None:
        return Part(part.face, None)
    rows = motion_frame_indices(part, len(motion), scene)
    # A built-in motion has no pose of its own to take over.
    absolute = bool(scene.request.absolute) and part.track is not None
    return Part(part.face, motion, role.strength, role.regions, absolute, rows)


def _motion(part: ScenePart, scene: Scene, canonical: CanonicalFace) -> FaceMotion | None:
    """The part's motion: a clip's whole length, or one turn of a built-in motion."""
    if part.role is None or part.role.source is None or isinstance(part.role.source, FreeSource):
        return None
    if isinstance(part.role.source, BuiltinSource):
        motion = builtin_motion(part.role.source.name, loop_length(scene.timeline), scene.timeline.rate, canonical)
        return _mirrored(motion, canonical) if part.role.mirror else motion
    if part.track is None:
        raise RequestError(f"face {part.face.id} has a clip but no track: run the driving stage first")
    reference = part.face if scene.request.absolute else None
    return motion_from_track(
        part.track, canonical, smoothing=scene.request.smoothing, mirror=part.role.mirror, reference=reference
    )


def _mirrored(motion: FaceMotion, canonical: CanonicalFace) -> FaceMotion:
    """A built-in motion with left and right swapped; its face is centred on x = 0."""
    return FaceMotion(
        mirrored_points(motion.neutral, 1, canonical.mirror),
        mirrored_blendshapes(motion.neutral_blendshapes),
        mirrored_points(motion.landmarks, 1, canonical.mirror),
        mirrored_blendshapes(motion.blendshapes),
    )
