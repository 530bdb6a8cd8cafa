"""What a live scene is made of: the photo at its size, its faces, and the motion that each one repeats."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import RequestError
from fantasyportrait.driving.driving_clips import choose_person
from fantasyportrait.engines.base import Scene, canonical_face
from fantasyportrait.engines.preview import driven_faces
from fantasyportrait.faces.mesh import CanonicalFace
from fantasyportrait.images.images import even_size, resize
from fantasyportrait.schema.cast import BuiltinSource, ClipSource, FreeSource, Role
from fantasyportrait.schema.driven_face import DrivenFace
from fantasyportrait.schema.face import Face, Track
from fantasyportrait.schema.face_motion import FaceMotion
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.schema.timeline import FillMode, Timeline, fill_indices
from fantasyportrait.service.animator import Animator

LOOP_RATE = Fraction(25)
# Lengths of a built-in motion and of the longest part of a clip that repeat.
_MOTION_S, _CLIP_S = 4, 10


@dataclass(frozen=True, eq=False)
class LiveLoops:
    """The photo of a live scene, and what its faces repeat.

    Attributes:
        pixels: uint8 (H, W, 3) RGB.
        driven: every face; its `rows` are those of one repetition at `LOOP_RATE`.
        canonical: the mean face.
    """

    pixels: NDArray[np.uint8]
    driven: tuple[DrivenFace[FaceMotion], ...]
    canonical: CanonicalFace

    def rows(self, at_s: float) -> dict[int, int]:
        """The row of its motion that each moving face plays at `at_s` seconds, by the id of the face."""
        frame = int(at_s * LOOP_RATE)
        return {
            each.face.id: int(each.frame_rows[frame % len(each.frame_rows)])
            for each in self.driven
            if each.motion is not None
        }


def live_loops(animator: Animator, request: AnimationRequest, side: int, cancel: CancelToken) -> LiveLoops:
    """Read photo and clips of a request; the photo's longer side gets at most `side` pixels.

    A face without a role, or a free one, plays `idle`; delays do not count. Raises what `Animator.animate` raises.
    """
    inputs = animator.inputs
    photo, found = inputs.faces(request.portrait, request.detector, request.face_edits)
    cast = _cast(request, found)
    height, width = photo.pixels.shape[:2]
    size = even_size(width, height, side)
    pixels = photo.pixels if size == (width, height) else resize(photo.pixels, size)
    faces = inputs.masked(pixels, [face.resized((width, height), size) for face in found])
    tracks = {role.face: _track(animator, role.source, cancel) for role in cast if isinstance(role.source, ClipSource)}
    canonical = canonical_face(inputs.models_dir)
    timeline = Timeline(LOOP_RATE, int(_MOTION_S * LOOP_RATE))
    scene = Scene(pixels, faces, tracks, timeline, replace(request, cast=cast, rate=LOOP_RATE))
    fills = {role.face: request.fill_of(role.source) for role in cast if isinstance(role.source, ClipSource)}
    driven = tuple(_repeated(each, fills.get(each.face.id, "loop")) for each in driven_faces(scene, canonical))
    return LiveLoops(pixels, driven, canonical)


def _cast(request: AnimationRequest, faces: Sequence[Face]) -> tuple[Role, ...]:
    """A role for every face."""
    known = {role.face: role for role in request.cast}
    unknown = sorted(known.keys() - {face.id for face in faces})
    if unknown:
        raise RequestError(
            "the cast names face {unknown}, but the photo shows {count}: choose one of them",
            unknown=unknown[0],
            count=len(faces),
        )
    roles = [known.get(face.id, Role(face.id, BuiltinSource("idle"))) for face in faces]
    idle = BuiltinSource("idle")
    return tuple(replace(role, source=idle) if isinstance(role.source, FreeSource) else role for role in roles)


def _track(animator: Animator, source: ClipSource, cancel: CancelToken) -> Track:
    end_s = source.start_s + _CLIP_S
    end_s = end_s if source.end_s is None else min(source.end_s, end_s)
    still = animator.inputs.decoder.probe(source.path).still
    tracks = animator.inputs.tracks(source.path, LOOP_RATE, source.start_s, None if still else end_s, cancel=cancel)
    return choose_person(source, tracks)


def _repeated(driven: DrivenFace[FaceMotion], fill: FillMode) -> DrivenFace[FaceMotion]:
    """The face with the rows of one repetition; a clip that would hold its end starts again."""
    if driven.motion is None:
        return driven
    length = len(driven.motion)
    total = max(1, 2 * (length - 1)) if fill == "pingpong" else length
    return replace(driven, rows=fill_indices(length, total, fill))
