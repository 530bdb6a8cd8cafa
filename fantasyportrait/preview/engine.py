"""Photo, faces and motions -> frames."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.faces.mesh import CanonicalFace
from fantasyportrait.preview.heads import MovingHead, StillHead, retargeter_of
from fantasyportrait.preview.layers import background_plate
from fantasyportrait.preview.raster import Window
from fantasyportrait.preview.rig import build_rig
from fantasyportrait.schema.driven_face import DrivenFace
from fantasyportrait.schema.face import MaskedFace
from fantasyportrait.schema.face_motion import FaceMotion


def render(
    pixels: NDArray[np.uint8],
    driven: Sequence[DrivenFace[FaceMotion]],
    frames: int,
    canonical: CanonicalFace,
    cancel: CancelToken | None = None,
) -> Iterator[NDArray[np.uint8]]:
    """Yield `frames` frames uint8 (H, W, C) of an RGB or RGBA photo (H, W, C), one at a time.

    Of an RGBA photo all four channels are warped and blended alike, so its colours must go on under its transparent
    parts, see `preview.transparency`.

    Pixels outside the moving heads are the photo's own; a still face does not change. Where heads overlap, the
    larger face is nearer. Raises `Cancelled` between two frames when `cancel` asks for it.

    `driven` holds every face of the photo; each motion plays `frames` frames.
    """
    renderer = SceneRenderer(pixels, driven, canonical)
    for frame in range(frames):
        if cancel is not None:
            cancel.check()
        yield renderer.draw(rows_of(driven, frame))


def rows_of(driven: Sequence[DrivenFace[FaceMotion]], frame: int) -> dict[int, int]:
    """The row of the motion that each moving face plays in a frame, by the id of the face."""
    return {each.face.id: int(each.frame_rows[frame]) for each in driven if _moves(each)}


def driven_landmarks(driven: DrivenFace[FaceMotion], canonical: CanonicalFace) -> NDArray[np.float32]:
    """Return the landmarks of a moving face as `render` places them: float32 (F, 478, 3), pixels of the photo."""
    retarget = retargeter_of(build_rig(driven.face.landmarks, canonical), driven, canonical)
    return np.stack([retarget.pose(int(row)).landmarks for row in driven.frame_rows]).astype(np.float32)


class HeadShape(NamedTuple):
    """A head in one frame: its face, and its alpha float32 (h, w), 0 to 1, in a window of the photo."""

    face: MaskedFace
    window: Window
    alpha: NDArray[np.float32]


class SceneRenderer:
    """Draws single frames of a photo, each moving head in any row of its motion; `render` draws frames in order.

    `pixels` is an RGB or RGBA photo uint8 (H, W, C), `driven` holds every face of it. Drawn rows of heads are kept in
    up to `kept_bytes` of memory, for motions that repeat; they have the same pixels. Not thread-safe.
    """

    def __init__(
        self,
        pixels: NDArray[np.uint8],
        driven: Sequence[DrivenFace[FaceMotion]],
        canonical: CanonicalFace,
        kept_bytes: int = 0,
    ) -> None:
        self._pixels, self._canonical = pixels, canonical
        far_to_near = sorted(driven, key=lambda each: float(np.ptp(each.face.landmarks[:, 1])))
        share = kept_bytes // max(1, sum(_moves(each) for each in driven))
        self._faces = {each.face.id: each.face for each in driven}
        self._heads = {each.face.id: self._head(each, share) for each in far_to_near}
        self._override: tuple[int, MovingHead] | None = None
        self._plates: dict[tuple[int, ...], NDArray[np.uint8]] = {}

    def override(self, driven: DrivenFace[FaceMotion] | None) -> None:
        """Let one face play another motion from the next `draw` on; all others, with None every face, play their own.

        ValueError for a face without a motion.
        """
        if driven is None:
            self._override = None
        elif self._override is not None and self._override[0] == driven.face.id:
            self._override[1].follow(driven)
        else:
            self._override = driven.face.id, MovingHead(self._pixels, driven, self._canonical)

    def draw(self, rows: Mapping[int, int]) -> NDArray[np.uint8]:
        """A new frame uint8 (H, W, C); `rows` has the row of the motion of each moving face, by the id of the face."""
        return self.draw_with_heads(rows)[0]

    def draw_with_heads(self, rows: Mapping[int, int]) -> tuple[NDArray[np.uint8], tuple[HeadShape, ...]]:
        """The frame of `draw`, and where each head is in it, from far to near."""
        heads = self._heads if self._override is None else self._heads | dict([self._override])
        canvas: NDArray[np.uint8] = self._plate(heads).copy()
        shapes = []
        for face, head in heads.items():
            drawn = head.draw(canvas, rows[face]) if isinstance(head, MovingHead) else head.draw(canvas, self._pixels)
            shapes.append(HeadShape(self._faces[face], *drawn))
        return canvas, tuple(shapes)

    def _head(self, driven: DrivenFace[FaceMotion], kept_bytes: int) -> MovingHead | StillHead:
        if _moves(driven):
            return MovingHead(self._pixels, driven, self._canonical, kept_bytes)
        return StillHead(driven.face.mask)

    def _plate(self, heads: Mapping[int, MovingHead | StillHead]) -> NDArray[np.uint8]:
        """The background behind the heads that move, made once for the same heads."""
        moving = {face: head.layer for face, head in heads.items() if isinstance(head, MovingHead)}
        key = tuple(moving)
        if key not in self._plates:
            self._plates[key] = background_plate(self._pixels, list(moving.values()))
        return self._plates[key]


def _moves(driven: DrivenFace[FaceMotion]) -> bool:
    return driven.motion is not None and driven.strength > 0
