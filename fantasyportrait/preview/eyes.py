"""Eyes: the eyeball keeps its shape under moving lids, and the iris moves inside it.

The base warp squeezes whatever lies between the lids. Here the opening is painted again from the photo's own
eyeball, which follows the head only; the iris disc is shifted by the driver's gaze.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from fantasyportrait.faces.mesh import LEFT_EYE, LEFT_IRIS, RIGHT_EYE, RIGHT_IRIS
from fantasyportrait.preview.raster import Window, affine_map, blend, local_affine, polygon_mask
from fantasyportrait.preview.retarget import Pose
from fantasyportrait.preview.rig import Rig
from fantasyportrait.schema.face_motion import FaceMotion

# Under this many pixels an eye has no eyeball to show; under this opening (height over width) it is closed.
_SMALLEST, _CLOSED = 7.0, 0.1
# Farthest that an iris moves, in eye widths.
_GAZE_LIMIT = np.array([0.2, 0.12])


class EyePainter:
    """Paints both eyes of one face, frame by frame."""

    def __init__(self, rig: Rig, motion: FaceMotion, strength: float) -> None:
        self._rig = rig
        self._eyes = []
        for ring, iris in ((RIGHT_EYE, RIGHT_IRIS), (LEFT_EYE, LEFT_IRIS)):
            points = rig.landmarks[ring]
            width = float(np.linalg.norm(points[0, :2] - points[8, :2]))
            opening = float(np.linalg.norm(points[2:7] - points[14:9:-1], axis=1).mean()) / max(width, 1e-6)
            if width >= _SMALLEST and opening >= _CLOSED:
                gaze = _gaze(motion.landmarks, ring, iris) - _gaze(motion.neutral[None], ring, iris)
                gaze *= strength
                self._eyes.append((ring, iris, width, _GAZE_LIMIT * np.tanh(gaze / _GAZE_LIMIT)))

    def paint(self, canvas: NDArray[np.uint8], photo: NDArray[np.uint8], pose: Pose, frame: int) -> None:
        """Paint the eyes of `frame` onto `canvas`, from the photo; both uint8 (H, W, 3)."""
        for ring, iris, width, gaze in self._eyes:
            target = pose.landmarks[ring]
            window = Window.around(target, 0.2 * width, canvas.shape)
            if min(window.shape) < 3:
                continue
            mask = polygon_mask(target[:, :2], window, feather=max(0.6, 0.025 * width))
            map_x, map_y = self._eyeball(ring, iris, width, gaze[frame], pose, window)
            eyeball = cv2.remap(photo, map_x, map_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
            area = window.of(canvas)
            area[:] = blend(np.asarray(eyeball, np.uint8), area, mask)

    def _eyeball(
        self,
        ring: NDArray[np.int64],
        iris: NDArray[np.int64],
        width: float,
        gaze: NDArray[np.float64],
        pose: Pose,
        window: Window,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Source x and y (h, w) of the eyeball's pixels."""
        resting = self._rig.landmarks[ring]
        back = local_affine(pose.head.apply(resting)[:, :2], resting[:, :2])
        at_x, at_y = affine_map(back, window)
        shift = (self._rig.head.rotation @ np.array([gaze[0], gaze[1], 0.0]))[:2] * width
        discs = self._rig.landmarks[iris]
        centre = discs[0, :2] + shift
        radius = float(np.linalg.norm(discs[1:, :2] - discs[0, :2], axis=1).mean())
        # The disc moves whole; the white between it and the corners gives way.
        far = max(0.5 * width, radius * 1.6)
        distance = np.hypot(at_x - centre[0], at_y - centre[1])
        share = np.clip((far - distance) / (far - 1.1 * radius), 0, 1)
        return (at_x - shift[0] * share).astype(np.float32), (at_y - shift[1] * share).astype(np.float32)


def _gaze(points: NDArray[np.float32], ring: NDArray[np.int64], iris: NDArray[np.int64]) -> NDArray[np.float64]:
    """Iris centre relative to the eye corners, in eye widths, along the eye's own axes (T, 2), of (T, 478, 3)."""
    outer, inner = points[:, ring[0]].astype(np.float64), points[:, ring[8]].astype(np.float64)
    across = (inner - outer) * np.sign(inner[:, :1] - outer[:, :1])
    width = np.linalg.norm(across[:, :2], axis=1, keepdims=True)
    along = across[:, :2] / np.maximum(width, 1e-6)
    offset = points[:, iris[0], :2] - (outer[:, :2] + inner[:, :2]) / 2
    sideways = (offset * along).sum(axis=1)
    upright = offset[:, 1] * along[:, 0] - offset[:, 0] * along[:, 1]
    return np.asarray(np.column_stack([sideways, upright]) / np.maximum(width, 1e-6))
