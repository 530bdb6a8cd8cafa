"""Photo, faces and motions -> frames."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.faces.mesh import CanonicalFace
from fantasyportrait.preview.eyes import EyePainter
from fantasyportrait.preview.layers import HeadLayer, background_plate, head_layer
from fantasyportrait.preview.mouth import MouthPainter
from fantasyportrait.preview.raster import Window, blend, triangle_map
from fantasyportrait.preview.retarget import Pose, Retargeter
from fantasyportrait.preview.rig import Rig, build_rig
from fantasyportrait.schema.driven_face import DrivenFace
from fantasyportrait.schema.face import MaskedFace
from fantasyportrait.schema.face_motion import FaceMotion

# Points of the skin: all landmarks but the irises.
_SKIN = 468


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
        yield renderer.frame(frame)


class HeadShape(NamedTuple):
    """A head in one frame: its face, and its alpha float32 (h, w), 0 to 1, in a window of the photo."""

    face: MaskedFace
    window: Window
    alpha: NDArray[np.float32]


class SceneRenderer:
    """A photo and its faces, prepared once for frames in any order; see `render`."""

    def __init__(
        self, pixels: NDArray[np.uint8], driven: Sequence[DrivenFace[FaceMotion]], canonical: CanonicalFace
    ) -> None:
        self._pixels = pixels
        far_to_near = sorted(driven, key=lambda each: float(np.ptp(each.face.landmarks[:, 1])))
        self._heads: list[tuple[MaskedFace, _MovingHead | _StillHead]] = []
        for each in far_to_near:
            moves = each.motion is not None and each.strength > 0
            head = _MovingHead(pixels, each, canonical) if moves else _StillHead(each.face.mask)
            self._heads.append((each.face, head))
        self._plate = background_plate(pixels, [head.layer for _, head in self._heads if isinstance(head, _MovingHead)])

    def frame(self, frame: int) -> NDArray[np.uint8]:
        """The frame, uint8 (H, W, 3) RGB."""
        return self.frame_with_heads(frame)[0]

    def frame_with_heads(self, frame: int) -> tuple[NDArray[np.uint8], tuple[HeadShape, ...]]:
        """The frame, and where each head is in it, from far to near."""
        canvas = self._plate.copy()
        shapes = [HeadShape(face, *head.draw(canvas, self._pixels, frame)) for face, head in self._heads]
        return canvas, tuple(shapes)


def driven_landmarks(driven: DrivenFace[FaceMotion], canonical: CanonicalFace) -> NDArray[np.float32]:
    """Return the landmarks of a moving face as `render` places them: float32 (F, 478, 3), pixels of the photo."""
    retarget = _retargeter(build_rig(driven.face.landmarks, canonical), driven, canonical)
    return np.stack([retarget.pose(int(row)).landmarks for row in driven.frame_rows]).astype(np.float32)


def _retargeter(rig: Rig, driven: DrivenFace[FaceMotion], canonical: CanonicalFace) -> Retargeter:
    return Retargeter(
        rig,
        _motion(driven),
        canonical,
        strength=driven.strength,
        regions=driven.regions,
        absolute=driven.absolute,
    )


def _motion(driven: DrivenFace[FaceMotion]) -> FaceMotion:
    """The motion of a face that moves; ValueError where there is none."""
    if driven.motion is None:
        raise ValueError(f"face {driven.face.id} has no motion: give it one to move it")
    return driven.motion


class _StillHead:
    """A head that does not move, drawn again so that it stays in front of moving heads behind it."""

    def __init__(self, mask: NDArray[np.uint8]) -> None:
        # The head's own window alone: a group photo has dozens of still heads, which are drawn in every frame.
        left, top, width, height = cv2.boundingRect(mask)
        self._window = Window(left, top, left + width, top + height)
        self._alpha = np.asarray(self._window.of(mask) / 255, np.float32)

    def draw(
        self, canvas: NDArray[np.uint8], photo: NDArray[np.uint8], frame: int
    ) -> tuple[Window, NDArray[np.float32]]:
        """Put the photo's own pixels back; return the head's window and its alpha there."""
        area = self._window.of(canvas)
        if area.size:
            area[:] = blend(np.ascontiguousarray(self._window.of(photo)), area, self._alpha)
        return self._window, self._alpha


class _MovingHead:
    """One moving head: its rig, layer and painters."""

    def __init__(self, pixels: NDArray[np.uint8], driven: DrivenFace[FaceMotion], canonical: CanonicalFace) -> None:
        motion = _motion(driven)
        self.rig: Rig = build_rig(driven.face.landmarks, canonical)
        self.layer: HeadLayer = head_layer(pixels, driven.face, self.rig)
        self._retarget = _retargeter(self.rig, driven, canonical)
        self._rows = driven.frame_rows
        self._source = self.rig.points[:, :2]
        self._eyes = EyePainter(self.rig, motion, driven.strength) if driven.regions.eyes else None
        self._mouth = MouthPainter(self.rig, motion, pixels) if driven.regions.mouth else None

    def draw(
        self, canvas: NDArray[np.uint8], photo: NDArray[np.uint8], frame: int
    ) -> tuple[Window, NDArray[np.float32]]:
        """Draw the head of `frame` onto `canvas`, uint8 (H, W, 3); return its window and its alpha there."""
        row = int(self._rows[frame])
        pose = self._retarget.pose(row)
        window = self.layer.window
        target = self.rig.assemble(pose.landmarks, pose.outline, pose.rings)[:, :2]
        area = window.of(canvas)
        below = area.copy()
        alpha = self._draw_outer(area, photo, target)
        self._draw_skin(canvas, photo, target, self._skin_order(pose))
        if self._eyes is not None:
            self._eyes.paint(canvas, photo, pose, row)
        if self._mouth is not None:
            self._mouth.paint(canvas, photo, pose, row)
        area[:] = blend(np.ascontiguousarray(area), below, alpha)
        return window, alpha

    def _draw_outer(
        self, area: NDArray[np.uint8], photo: NDArray[np.uint8], target: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        """Draw hair and neck on the layer's window, and return the head's alpha there."""
        outer = self.rig.triangles[: self.rig.outer]
        map_x, map_y, numbers = triangle_map(self._source, target, outer, self.layer.window)
        # A body cut by the photo's border goes on beyond it, mirrored, so that no gap opens when it moves inwards.
        area[:] = cv2.remap(photo, map_x, map_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
        alpha = cv2.remap(self.layer.alpha, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        return np.asarray(alpha * (numbers > 0), np.float32)

    def _draw_skin(
        self,
        canvas: NDArray[np.uint8],
        photo: NDArray[np.uint8],
        target: NDArray[np.float64],
        triangles: NDArray[np.int64],
    ) -> None:
        """Draw the face over it, with a soft edge just inside its outline."""
        window = Window.around(target[:_SKIN], 2, canvas.shape)
        if min(window.shape) < 3:
            return
        map_x, map_y, numbers = triangle_map(self._source, target, triangles, window)
        skin = cv2.remap(photo, map_x, map_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        covered = (numbers > 0).astype(np.float32)
        inside = np.asarray(np.clip(2 * cv2.GaussianBlur(covered, (0, 0), 1.2) - 1, 0, 1), np.float32)
        under = window.of(canvas)
        under[:] = blend(np.asarray(skin, np.uint8), under, inside)

    def _skin_order(self, pose: Pose) -> NDArray[np.int64]:
        """The face's triangles from far to near."""
        skin = self.rig.triangles[self.rig.outer :]
        depth = pose.landmarks[:, 2][skin].mean(axis=1)
        return np.asarray(skin[np.argsort(-depth, kind="stable")])
