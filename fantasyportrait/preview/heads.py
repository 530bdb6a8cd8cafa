"""The heads of a photo: one that moves draws itself in any row of its motion, one that is still covers those behind."""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from fantasyportrait.faces.mesh import CanonicalFace
from fantasyportrait.preview.eyes import EyePainter
from fantasyportrait.preview.layers import HeadLayer, head_layer
from fantasyportrait.preview.mouth import MouthPainter
from fantasyportrait.preview.raster import Window, blend, triangle_map
from fantasyportrait.preview.retarget import Pose, Retargeter
from fantasyportrait.preview.rig import Rig, build_rig
from fantasyportrait.schema.driven_face import DrivenFace
from fantasyportrait.schema.face_motion import FaceMotion

# Points of the skin: all landmarks but the irises.
_SKIN = 468


def retargeter_of(rig: Rig, driven: DrivenFace[FaceMotion], canonical: CanonicalFace) -> Retargeter:
    """What carries the motion of a face to its rig; ValueError for a face without a motion."""
    return Retargeter(
        rig,
        motion_of(driven),
        canonical,
        strength=driven.strength,
        regions=driven.regions,
        absolute=driven.absolute,
    )


def motion_of(driven: DrivenFace[FaceMotion]) -> FaceMotion:
    """The motion of a face that moves; ValueError where there is none."""
    if driven.motion is None:
        raise ValueError(f"face {driven.face.id} has no motion: give it one to move it")
    return driven.motion


class StillHead:
    """A head that does not move, drawn again so that it stays in front of moving heads behind it."""

    def __init__(self, mask: NDArray[np.uint8]) -> None:
        # The head's own window alone: a group photo has dozens of still heads, which are drawn in every frame.
        left, top, width, height = cv2.boundingRect(mask)
        self._window = Window(left, top, left + width, top + height)
        self._alpha = np.asarray(self._window.of(mask) / 255, np.float32)

    def draw(self, canvas: NDArray[np.uint8], photo: NDArray[np.uint8]) -> tuple[Window, NDArray[np.float32]]:
        """Put the photo's own pixels back; return the head's window and its alpha there."""
        area = self._window.of(canvas)
        if area.size:
            area[:] = blend(np.ascontiguousarray(self._window.of(photo)), area, self._alpha)
        return self._window, self._alpha


class _DrawnHead(NamedTuple):
    """A head in one row of its motion: pixels uint8 (h, w, C) and alpha float32 (h, w) of a window of the photo."""

    window: Window
    pixels: NDArray[np.uint8]
    alpha: NDArray[np.float32]

    def draw(self, canvas: NDArray[np.uint8]) -> None:
        area = self.window.of(canvas)
        area[:] = blend(self.pixels, area, self.alpha)

    @property
    def bytes(self) -> int:
        return self.pixels.nbytes + self.alpha.nbytes


class MovingHead:
    """One moving head: its rig, layer and painters.

    Drawn rows are kept in up to `kept_bytes` of memory, for a motion that repeats: a kept row has the same pixels.
    """

    def __init__(
        self,
        pixels: NDArray[np.uint8],
        driven: DrivenFace[FaceMotion],
        canonical: CanonicalFace,
        kept_bytes: int = 0,
    ) -> None:
        self._canonical, self._photo = canonical, pixels
        self.rig: Rig = build_rig(driven.face.landmarks, canonical)
        self.layer: HeadLayer = head_layer(pixels, driven.face, self.rig)
        self._source = self.rig.points[:, :2]
        self._corners = _visible_corners(self._source, self.rig.triangles[: self.rig.outer], self.layer.alpha)
        self._kept_bytes = kept_bytes
        self.follow(driven)

    def follow(self, driven: DrivenFace[FaceMotion]) -> None:
        """Play the motion of `driven`, which is the same face, from the next `draw` on."""
        motion = motion_of(driven)
        self._retarget = retargeter_of(self.rig, driven, self._canonical)
        self._eyes = EyePainter(self.rig, motion, driven.strength) if driven.regions.eyes else None
        self._mouth = MouthPainter(self.rig, motion, self._photo) if driven.regions.mouth else None
        self._kept: dict[int, _DrawnHead] = {}
        self._room = self._kept_bytes

    def draw(self, canvas: NDArray[np.uint8], row: int) -> tuple[Window, NDArray[np.float32]]:
        """Draw the head in a row of its motion onto `canvas`, uint8 (H, W, C); return its window and alpha there."""
        if row in self._kept:
            kept = self._kept[row]
            kept.draw(canvas)
            return kept.window, kept.alpha
        pose = self._retarget.pose(row)
        target = self.rig.assemble(pose.landmarks, pose.outline, pose.rings)[:, :2]
        window = self._window(target, canvas.shape)
        area = window.of(canvas)
        below = area.copy()
        alpha = self._draw_outer(area, target, window)
        skin = Window.around(target[:_SKIN], 2, canvas.shape)
        self._draw_skin(canvas, skin, target, self._skin_order(pose))
        if self._eyes is not None:
            self._eyes.paint(canvas, self._photo, pose, row)
        if self._mouth is not None:
            self._mouth.paint(canvas, self._photo, pose, row)
        drawn = _DrawnHead(window, area.copy(), alpha)
        area[:] = blend(drawn.pixels, below, alpha)
        if drawn.bytes <= self._room and window.holds(skin):
            self._kept[row] = drawn
            self._room -= drawn.bytes
        return window, alpha

    def _window(self, target: NDArray[np.float64], shape: tuple[int, ...]) -> Window:
        """The part of the layer's window that the head covers now; its alpha is 0 in the rest."""
        reached = np.concatenate([target[self._corners], target[:_SKIN]])
        # Room for the soft edges of eyes and mouth.
        window = Window.around(reached, 3 + 0.02 * self.rig.axes.height, shape).intersection(self.layer.window)
        return window if min(window.shape) else self.layer.window

    def _draw_outer(self, area: NDArray[np.uint8], target: NDArray[np.float64], window: Window) -> NDArray[np.float32]:
        """Draw hair and neck on `area`, the pixels of `window`, and return the head's alpha there."""
        outer = self.rig.triangles[: self.rig.outer]
        map_x, map_y, numbers = triangle_map(self._source, target, outer, self.layer.window, window)
        # A body cut by the photo's border goes on beyond it, mirrored, so that no gap opens when it moves inwards.
        area[:] = cv2.remap(self._photo, map_x, map_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
        alpha = cv2.remap(self.layer.alpha, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        return np.asarray(alpha * (numbers > 0), np.float32)

    def _draw_skin(
        self,
        canvas: NDArray[np.uint8],
        window: Window,
        target: NDArray[np.float64],
        triangles: NDArray[np.int64],
    ) -> None:
        """Draw the face over it, with a soft edge just inside its outline."""
        if min(window.shape) < 3:
            return
        map_x, map_y, numbers = triangle_map(self._source, target, triangles, window)
        skin = cv2.remap(self._photo, map_x, map_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        covered = (numbers > 0).astype(np.float32)
        inside = np.asarray(np.clip(2 * cv2.GaussianBlur(covered, (0, 0), 1.2) - 1, 0, 1), np.float32)
        under = window.of(canvas)
        under[:] = blend(np.asarray(skin, np.uint8), under, inside)

    def _skin_order(self, pose: Pose) -> NDArray[np.int64]:
        """The face's triangles from far to near."""
        skin = self.rig.triangles[self.rig.outer :]
        depth = pose.landmarks[:, 2][skin].mean(axis=1)
        return np.asarray(skin[np.argsort(-depth, kind="stable")])


def _visible_corners(
    source: NDArray[np.float64], triangles: NDArray[np.int64], alpha: NDArray[np.float32]
) -> NDArray[np.int64]:
    """The corners of the triangles (M, 3) over points (N, 2) that show any of the layer: with pixels of alpha over 0.

    Beyond its border the layer is its mirror image, as it is drawn.
    """
    # Interpolation reads one pixel beyond a corner.
    low = np.floor(source[triangles].min(axis=1)).astype(int) - 1
    high = np.ceil(source[triangles].max(axis=1)).astype(int) + 2
    size = np.array(alpha.shape[::-1])
    before, after = np.maximum(-low.min(axis=0), 0), np.maximum(high.max(axis=0) - size, 0)
    solid = (alpha > 0).astype(np.uint8)
    whole = cv2.copyMakeBorder(solid, before[1], after[1], before[0], after[0], cv2.BORDER_REFLECT)
    sums = cv2.integral(whole)
    (left, top), (right, bottom) = (low + before).T, (high + before).T
    count = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
    return np.unique(triangles[count > 0])
