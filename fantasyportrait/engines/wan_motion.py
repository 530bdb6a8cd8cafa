"""The motion code of each face on the frames of a scene, and the face map, for the diffusion engine."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.disk_cache import CACHE_EXPIRY_S
from fantasyportrait.core.errors import RequestError
from fantasyportrait.core.geometry import bounding_box
from fantasyportrait.core.paths import example_photo
from fantasyportrait.engines.base import Scene, loop_length, motion_frame_indices
from fantasyportrait.faces.analyser import FaceAnalyser
from fantasyportrait.faces.face_models import FaceModels
from fantasyportrait.faces.mesh import CanonicalFace
from fantasyportrait.images.images import load_photo
from fantasyportrait.media.decoder import Decoder
from fantasyportrait.motion.builtin import builtin_motion
from fantasyportrait.motion.extract import encode_frames, encode_portrait
from fantasyportrait.motion.face_map import box_margins, box_mask, face_map, grown_mask
from fantasyportrait.motion.from_track import motion_from_track, neutral_frame
from fantasyportrait.motion.motion_cache import ClipSpan, cached_motion
from fantasyportrait.motion.motion_nets import MotionNets
from fantasyportrait.preview.engine import driven_landmarks, render
from fantasyportrait.schema.cast import BuiltinSource, ClipSource, FreeSource, Role
from fantasyportrait.schema.driven_face import DrivenFace
from fantasyportrait.schema.face import MaskedFace
from fantasyportrait.schema.face_motion import FaceMotion
from fantasyportrait.schema.motion_code import MotionCode

Segmenter = Callable[[NDArray[np.uint8], Sequence[NDArray[np.float32]]], NDArray[np.bool_]]
"""Masks bool (N, H, W) of what each box (4,) holds in an RGB picture."""


@dataclass(frozen=True, eq=False)
class _MotionContext:
    """The inputs that all motions of a scene share; `frames` is the number of frames of each."""

    scene: Scene
    frames: int
    canonical: CanonicalFace
    cancel: CancelToken


class MotionBuilder:
    """Makes the motions of scenes: clips through the cache, motions without pixels through the preview engine."""

    def __init__(
        self,
        nets: MotionNets,
        cache_dir: Path,
        face_models: FaceModels,
        decoder: Decoder,
        cache_expiry_s: float = CACHE_EXPIRY_S,
    ) -> None:
        self._cache_expiry_s = cache_expiry_s
        self._nets, self._cache_dir, self._face_models, self._decoder = nets, cache_dir, face_models, decoder

    def driven_faces(
        self, scene: Scene, frames: int, progress: Callable[[int], None], cancel: CancelToken
    ) -> tuple[DrivenFace[MotionCode], ...]:
        """Every face of the scene with its motion, which plays `frames` frames; a free face has none.

        `progress` gets how many faces are done.
        """
        context = _MotionContext(scene, frames, self._face_models.canonical_face(), cancel)
        driven = []
        for number, face in enumerate(scene.faces, 1):
            cancel.check()
            driven.append(self._driven_face(face, context))
            progress(number)
        return tuple(driven)

    def _driven_face(self, face: MaskedFace, context: _MotionContext) -> DrivenFace[MotionCode]:
        role = context.scene.role(face.id)
        if role is None or role.source is None:
            # A still face plays the motion code of the photo; strength and regions apply to drivers only.
            return DrivenFace(face, self._portrait_code(face, context), rows=np.zeros(context.frames, np.int64))
        if isinstance(role.source, FreeSource):
            return DrivenFace(face)
        if isinstance(role.source, BuiltinSource):
            return self._builtin(face, role, role.source, context)
        if context.scene.track(face.id).mouths is None:
            return self._motion_file(face, role, context)
        return self._clip(face, role, role.source, context)

    def _portrait_code(self, face: MaskedFace, context: _MotionContext) -> MotionCode:
        """The motion code of the face in the photo, one row."""
        return encode_portrait(context.scene.pixels, face, self._nets)

    def _clip(
        self, face: MaskedFace, role: Role, source: ClipSource, context: _MotionContext
    ) -> DrivenFace[MotionCode]:
        scene, track = context.scene, context.scene.track(face.id)
        span = ClipSpan(scene.clips[source.path], scene.timeline.rate, source.start_s, source.end_s)
        code = cached_motion(
            span,
            track,
            replace(self._nets, smoothing=scene.request.smoothing_of(role)),
            cache_dir=self._cache_dir,
            decoder=self._decoder,
            expiry_s=self._cache_expiry_s,
            mirror=role.mirror,
            cancel=context.cancel,
        )
        # A picture has one frame: relative to itself, its expression would be zero.
        if scene.request.absolute is False and len(code) > 1:
            code = code.relative_to(neutral_frame(track, context.canonical), self._portrait_code(face, context))
        rows = motion_frame_indices(source, len(code), scene)
        margins = box_margins(track.boxes[np.unique(rows)], role.mirror)
        rows = _padded(rows, context.frames)
        return DrivenFace(face, code, role.strength, role.regions, rows=rows, margins=margins)

    def _builtin(
        self, face: MaskedFace, role: Role, source: BuiltinSource, context: _MotionContext
    ) -> DrivenFace[MotionCode]:
        timeline = context.scene.timeline
        motion = builtin_motion(source.name, loop_length(timeline), timeline.rate, context.canonical)
        return self._drawn(face, role, motion, context)

    def _motion_file(self, face: MaskedFace, role: Role, context: _MotionContext) -> DrivenFace[MotionCode]:
        """A motion file holds no pixels for the motion encoder."""
        scene = context.scene
        motion = motion_from_track(scene.track(face.id), context.canonical, smoothing=scene.request.smoothing)
        return self._drawn(face, role, motion, context)

    def _drawn(
        self, face: MaskedFace, role: Role, motion: FaceMotion, context: _MotionContext
    ) -> DrivenFace[MotionCode]:
        """A motion without pixels, drawn onto the bundled portrait and encoded like a clip.

        Unless the request is absolute it is measured from that portrait at rest, whose pose it does not take over.
        """
        rows = motion_frame_indices(role.source, len(motion), context.scene)
        used = np.arange(int(rows.max()) + 1)
        pixels, actor = self._bundled_portrait()
        drawn = DrivenFace(actor, motion, rows=used)
        landmarks = driven_landmarks(drawn, context.canonical)
        pictures = itertools.chain([pixels], render(pixels, [drawn], len(used), context.canonical, context.cancel))
        points = np.concatenate([actor.landmarks[None], landmarks])
        code = encode_frames(pictures, points, self._nets, mirror=role.mirror, cancel=context.cancel)
        if not context.scene.request.absolute:
            code = code.relative_to(0, self._portrait_code(face, context))
        margins = box_margins(np.stack([bounding_box(frame) for frame in landmarks]), role.mirror)
        # Row 0 of the code is the bundled portrait at rest.
        rows = _padded(rows, context.frames) + 1
        return DrivenFace(face, code, role.strength, role.regions, rows=rows, margins=margins)

    def _bundled_portrait(self) -> tuple[NDArray[np.uint8], MaskedFace]:
        pixels = load_photo(example_photo()).pixels
        analyser = FaceAnalyser(self._face_models)
        return pixels, analyser.masked(pixels, analyser.find(pixels))[0]


def build_face_map(
    pixels: NDArray[np.uint8],
    driven: Sequence[DrivenFace[MotionCode]],
    face_mask: str,
    segmenter: Segmenter | None,
) -> NDArray[np.int32]:
    """The face map int32 (H, W): 0 background, i face i; from grown boxes, head masks or Segment Anything."""
    if face_mask == "box":
        height, width = pixels.shape[:2]
        return face_map([box_mask(d.face.id, d.face.box, d.margins, (width, height)) for d in driven])
    masks: Sequence[NDArray[np.uint8] | NDArray[np.bool_]]
    if face_mask == "head":
        masks = [each.face.mask for each in driven]
    elif segmenter is None:
        raise RequestError("face_mask is 'segment', but Segment Anything is not loaded: choose box or head")
    else:
        masks = list(segmenter(pixels, [each.face.box for each in driven]))
    pairs = zip(driven, masks, strict=True)
    return face_map([grown_mask(d.face.id, mask, d.face.box, d.margins) for d, mask in pairs])


def _padded(rows: NDArray[np.int64], frames: int) -> NDArray[np.int64]:
    """The rows, the last one held for the model's spare frames, which share a latent frame with real ones."""
    return np.pad(rows, (0, frames - len(rows)), mode="edge")
