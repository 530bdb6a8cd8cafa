"""The inside of the mouth, painted between the warped lips.

Three sources, nearest the viewer first: the portrait's own teeth where its mouth stands open (they belong to the
skull and follow the head only), the driver's mouth in the portrait's colours, and for built-in motions a drawn one.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from fantasyportrait.faces.mesh import INNER_LIPS, lip_opening
from fantasyportrait.faces.mouth_texture import mouth_patch, mouth_points
from fantasyportrait.preview.drawn_mouth import draw_mouth
from fantasyportrait.preview.raster import Window, affine_map, blend, local_affine, polygon_mask, triangle_map
from fantasyportrait.preview.retarget import Pose
from fantasyportrait.preview.rig import Rig
from fantasyportrait.schema.face_motion import FaceMotion

# Opening (height over width of the inner lips) from which a resting mouth shows something of its own.
_OWN_OPEN = 0.05
_COUNT = len(INNER_LIPS)
# How much of the two skins' difference in lightness a mouth takes on, and how far its colours may be strengthened.
_LIGHT_SHARE, _RICHEST = 0.8, 1.3


class MouthPainter:
    """Paints one face's mouth, frame by frame."""

    def __init__(self, rig: Rig, motion: FaceMotion, photo: NDArray[np.uint8]) -> None:
        self._rig, self._motion = rig, motion
        ring = rig.landmarks[INNER_LIPS, :2]
        self._width = float(np.linalg.norm(ring[0] - ring[_COUNT // 2]))
        self._resting = float(lip_opening(rig.landmarks[:, :2]))
        self._triangles = _ring_triangles()
        own = mouth_patch(np.ascontiguousarray(photo[..., :3]), rig.landmarks.astype(np.float32))
        skin = _skin_colour(own[None])
        as_image = np.round(skin).astype(np.uint8).reshape(1, 1, 3)
        self._skin_rgb = cv2.cvtColor(as_image, cv2.COLOR_LAB2RGB)[0, 0].astype(np.float32)
        drivers = skin if motion.mouths is None else _skin_colour(motion.mouths)
        self._lighter = _LIGHT_SHARE * float(skin[0] - drivers[0])
        # Pale skin has no pale tongue, so colours are reduced less than the skin's.
        self._richer = min(1.6 * _chroma(skin) / max(_chroma(drivers), 1.0), _RICHEST)

    def paint(self, canvas: NDArray[np.uint8], photo: NDArray[np.uint8], pose: Pose, frame: int) -> None:
        """Paint the mouth of `frame` onto `canvas`, uint8 (H, W, 3)."""
        ring = pose.landmarks[INNER_LIPS, :2]
        opening = float(lip_opening(pose.landmarks[:, :2]))
        own = self._resting > _OWN_OPEN
        # A mouth that is no wider open than in the photo needs no painting: the base warp has drawn it.
        visible = np.clip((opening - (self._resting * 1.1 if own else 0.0) - 0.012) / 0.04, 0, 1)
        window = Window.around(ring, 0.15 * self._width, canvas.shape)
        if visible == 0 or min(window.shape) < 3:
            return
        feather = max(0.7, 0.016 * self._width)
        mask = polygon_mask(ring, window, feather) * np.float32(visible)
        inside = self._inside(ring, pose, frame, window)
        if own:
            inside = self._with_own(inside, photo, pose, window)
        area = window.of(canvas)[..., :3]
        area[:] = blend(inside, area, mask)

    def _inside(self, ring: NDArray[np.float64], pose: Pose, frame: int, window: Window) -> NDArray[np.uint8]:
        """The driver's mouth, or a drawn one, on the window's pixels."""
        driver = self._motion.mouth(frame)
        if driver is None:
            resting = pose.head.apply(self._rig.landmarks[INNER_LIPS])[:, :2]
            return draw_mouth(ring, resting, window, self._skin_rgb)
        patch_ring = mouth_points(self._motion.landmarks[frame]).astype(np.float64)
        map_x, map_y, _ = triangle_map(patch_ring, _grown(ring, 1.1), self._triangles, window)
        texture = cv2.remap(driver, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        lab = cv2.cvtColor(texture, cv2.COLOR_RGB2LAB).astype(np.float32)
        # Dark stays dark: lightness is added in proportion to a pixel's own. A grey portrait's mouth is grey.
        lab[..., 0] += self._lighter * np.clip(lab[..., 0] / 140, 0, 1)
        lab[..., 1:] = 128 + (lab[..., 1:] - 128) * self._richer
        return np.asarray(cv2.cvtColor(np.clip(lab, 0, 255).astype(np.uint8), cv2.COLOR_LAB2RGB), np.uint8)

    def _with_own(
        self, inside: NDArray[np.uint8], photo: NDArray[np.uint8], pose: Pose, window: Window
    ) -> NDArray[np.uint8]:
        """The portrait's own teeth, where its mouth is open in the photo, over `inside`."""
        resting = self._rig.landmarks[INNER_LIPS]
        carried = pose.head.apply(resting)[:, :2]
        map_x, map_y = affine_map(local_affine(carried, resting[:, :2]), window)
        teeth = cv2.remap(photo, map_x, map_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)[..., :3]
        mask = polygon_mask(_grown(carried, 0.92), window, max(0.8, 0.02 * self._width))
        return blend(np.asarray(teeth, np.uint8), inside, mask)


def _grown(ring: NDArray[np.float64], factor: float) -> NDArray[np.float64]:
    middle = ring.mean(axis=0)
    return np.asarray(middle + (ring - middle) * factor)


def _ring_triangles() -> NDArray[np.int64]:
    """Strips between the upper and the lower lip: (18, 3) indices into the ring of 20."""
    half = _COUNT // 2
    upper = list(range(half + 1))
    lower = [0, *range(_COUNT - 1, half, -1), half]
    triangles = []
    for i in range(half):
        triangles.append((upper[i], upper[i + 1], lower[i]))
        triangles.append((upper[i + 1], lower[i + 1], lower[i]))
    return np.array([t for t in triangles if len(set(t)) == 3], np.int64)


def _chroma(lab: NDArray[np.float32]) -> float:
    return float(np.hypot(lab[1] - 128, lab[2] - 128))


def _skin_colour(patches: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Median Lab colour (3,) of the skin above and below the lips in mouth patches (T, 48, 80, 3)."""
    rows = np.linspace(0, len(patches) - 1, min(len(patches), 16)).astype(int)
    bands = np.concatenate([patches[rows, :4], patches[rows, -4:]], axis=1)
    flat = np.ascontiguousarray(bands.reshape(1, -1, 3))
    return np.asarray(np.median(cv2.cvtColor(flat, cv2.COLOR_RGB2LAB)[0], axis=0), np.float32)
