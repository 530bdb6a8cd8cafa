"""What drives each face of a scene in the diffusion engine: motion codes on the scene's frames, and face regions."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.disk_cache import CACHE_EXPIRY_S
from fantasyportrait.core.errors import RequestError
from fantasyportrait.core.geometry import bounding_box
from fantasyportrait.core.paths import example_photo
from fantasyportrait.engines.base import Scene, ScenePart, loop_length, motion_frame_indices
from fantasyportrait.faces.analyser import FaceAnalyser
from fantasyportrait.faces.face import MaskedFace
from fantasyportrait.faces.face_models import FaceModels
from fantasyportrait.faces.mesh import CanonicalFace
from fantasyportrait.images.images import load_photo
from fantasyportrait.media.decoder import Decoder
from fantasyportrait.motion.builtin import builtin_motion
from fantasyportrait.motion.extract import encode_frames, encode_portrait
from fantasyportrait.motion.face_map import box_margins, box_region, face_map, mask_region
from fantasyportrait.motion.from_track import neutral_frame
from fantasyportrait.motion.motion_cache import ClipSpan, cached_motion
from fantasyportrait.motion.motion_code import MotionCode
from fantasyportrait.motion.motion_nets import MotionNets
from fantasyportrait.preview.engine import Part, driven_landmarks, render
from fantasyportrait.schema.cast import BuiltinSource, ClipSource, FreeSource
from fantasyportrait.schema.timeline import fill_indices

Segmenter = Callable[[NDArray[np.uint8], Sequence[NDArray[np.float32]]], NDArray[np.bool_]]
"""Masks bool (N, H, W) of what each box (4,) holds in an RGB picture."""

_NO_REACH = np.zeros(4)


@dataclass(frozen=True, eq=False)
class FaceDrive:
    """One face's motion on the scene's time line.

    Attributes:
        part: the face and its role.
        code: a row a frame; None for a face that is left to the model.
        reach: how far its driver's head leaves its first place, shares of its box: left, top, right, bottom.
    """

    part: ScenePart
    code: MotionCode | None
    reach: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _MotionContext:
    """What every face of one scene's motions shares: `frames` is how many rows each gets."""

    scene: Scene
    frames: int
    canonical: CanonicalFace
    cancel: CancelToken


class MotionBuilder:
    """Makes the motions of scenes: clips through the cache, built-in motions through the preview engine."""

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

    def drives(
        self, scene: Scene, frames: int, progress: Callable[[int], None], cancel: CancelToken
    ) -> tuple[FaceDrive, ...]:
        """A drive for every face of the scene, each of `frames` rows; `progress` gets how many faces are done."""
        take = _MotionContext(scene, frames, self._face_models.canonical_face(), cancel)
        made = []
        for number, part in enumerate(scene.parts, 1):
            cancel.check()
            made.append(self._drive(part, take))
            progress(number)
        return tuple(made)

    def _drive(self, part: ScenePart, take: _MotionContext) -> FaceDrive:
        source = None if part.role is None else part.role.source
        if isinstance(source, FreeSource):
            return FaceDrive(part, None, _NO_REACH)
        if source is None:
            return FaceDrive(part, self._own(part, take).repeated(take.frames), _NO_REACH)
        if isinstance(source, BuiltinSource):
            return self._builtin(part, source.name, take)
        return self._clip(part, source, take)

    def _own(self, part: ScenePart, take: _MotionContext) -> MotionCode:
        """How the face looks in the photo, one row."""
        return encode_portrait(take.scene.pixels, part.face, self._nets)

    def _clip(self, part: ScenePart, source: ClipSource, take: _MotionContext) -> FaceDrive:
        if part.track is None or part.role is None:
            raise RequestError(f"face {part.face.id} has a clip but no track: run the driving stage first")
        request = take.scene.request
        span = ClipSpan(take.scene.clips[source.path], take.scene.timeline.rate, source.start_s, source.end_s)
        code = cached_motion(
            span,
            part.track,
            self._nets,
            cache_dir=self._cache_dir,
            decoder=self._decoder,
            expiry_s=self._cache_expiry_s,
            mirror=part.role.mirror,
            cancel=take.cancel,
        )
        # A picture's expression is all it has: measured from itself it would be none.
        if request.absolute is False and len(code) > 1:
            code = code.relative_to(neutral_frame(part.track, take.canonical), self._own(part, take))
        rows = motion_frame_indices(part, len(code), take.scene)
        reach = box_margins(part.track.boxes[np.unique(rows)])
        return FaceDrive(part, code.take(_padded(rows, take.frames)), _mirrored(reach, part))

    def _builtin(self, part: ScenePart, name: str, take: _MotionContext) -> FaceDrive:
        """The motion drawn onto the bundled portrait and encoded like a clip.

        It has no pose of its own to take over, so unless the request says absolute it is measured from that portrait
        at rest.
        """
        timeline = take.scene.timeline
        motion = builtin_motion(name, loop_length(timeline), timeline.rate, take.canonical)
        pixels, actor = self._bundled_portrait()
        drawn = Part(actor, motion)
        landmarks = driven_landmarks(drawn, len(motion), take.canonical)
        pictures = itertools.chain([pixels], render(pixels, [drawn], len(motion), take.canonical, take.cancel))
        points = np.concatenate([actor.landmarks[None], landmarks])
        mirror = part.role is not None and part.role.mirror
        code = encode_frames(pictures, points, self._nets, mirror=mirror, cancel=take.cancel)
        if not take.scene.request.absolute:
            code = code.relative_to(0, self._own(part, take))
        rows = _padded(fill_indices(len(motion), take.scene.timeline.frames, "loop"), take.frames)
        reach = box_margins(np.stack([bounding_box(frame) for frame in landmarks]))
        return FaceDrive(part, code.take(rows + 1), _mirrored(reach, part))

    def _bundled_portrait(self) -> tuple[NDArray[np.uint8], MaskedFace]:
        pixels = load_photo(example_photo()).pixels
        analyser = FaceAnalyser(self._face_models)
        return pixels, analyser.masked(pixels, analyser.find(pixels))[0]


def build_face_map(scene: Scene, drives: Sequence[FaceDrive], segmenter: Segmenter | None) -> NDArray[np.int32]:
    """The face map int32 (H, W): 0 background, i face i; by grown boxes, head masks or Segment Anything's masks."""
    height, width = scene.pixels.shape[:2]
    kind = scene.request.sampling.region
    faces = [drive.part.face for drive in drives]
    if kind == "box":
        regions = [box_region(d.part.face.id, d.part.face.box, d.reach, (width, height)) for d in drives]
        return face_map(regions)
    masks: Sequence[NDArray[np.uint8] | NDArray[np.bool_]]
    if kind == "head":
        masks = [face.mask for face in faces]
    elif segmenter is None:
        raise RequestError("region is 'segment', but Segment Anything is not loaded: choose box or head")
    else:
        masks = list(segmenter(scene.pixels, [face.box for face in faces]))
    pairs = zip(drives, masks, strict=True)
    regions = [mask_region(d.part.face.id, mask, d.part.face.box, d.reach) for d, mask in pairs]
    return face_map(regions)


def _padded(rows: NDArray[np.int64], frames: int) -> NDArray[np.int64]:
    """The rows, the last one held for the model's spare frames, which share a latent frame with real ones."""
    return np.pad(rows, (0, frames - len(rows)), mode="edge")


def _mirrored(reach: NDArray[np.float64], part: ScenePart) -> NDArray[np.float64]:
    """Left and right swapped where the role mirrors its driver."""
    return reach[[2, 1, 0, 3]] if part.role is not None and part.role.mirror else reach
