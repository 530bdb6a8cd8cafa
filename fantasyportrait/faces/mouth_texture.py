"""The mouth's inside as a small texture of fixed size: 48 rows, 80 columns.

The texture is cut from the frame by a similarity that is read from the inner lips alone: its x axis runs from the
corner at the image's left (point 78) to the other corner (308), its centre is the centre of the inner lips measured
along these axes, its 80 columns span 1.3 times the width between the corners. A mouth that is taller than the 48 rows
would hold enlarges the span until it fits. So the landmarks that the texture was cut with give the place of each lip
point in it (`mouth_points`), and pasting it needs nothing else.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from fantasyportrait.faces.mesh import INNER_LIPS
from fantasyportrait.schema.face import MOUTH_SIZE

_SPAN = 1.3
# Positions in INNER_LIPS of the two corners.
_CORNERS = (0, 10)


def mouth_patch(pixels: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Cut the mouth out of an RGB frame (H, W, 3): uint8 (48, 80, 3) by the landmarks (478, 3) in its pixels.

    Outside the frame its edge pixels are repeated.
    """
    rows, columns = MOUTH_SIZE
    matrix = _patch_to_frame(landmarks)
    # Sampled finer and averaged where the mouth has more pixels than the texture.
    finer = max(1, round(float(np.hypot(*matrix[:, 0]))))
    matrix[:, :2] /= finer
    matrix[:, 2] -= matrix[:, :2] @ np.full(2, (finer - 1) / 2)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = (columns * finer, rows * finer)
    patch = cv2.warpAffine(pixels, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    if finer > 1:
        patch = cv2.resize(patch, (columns, rows), interpolation=cv2.INTER_AREA)
    return np.asarray(patch, np.uint8)


def mouth_points(landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Points of the inner lips in the texture: float32 (20, 2) xy in its pixels, in the order of `mesh.INNER_LIPS`.

    Computed from landmarks (478, 3) alone, at any scale: pixel (0, 0) has its centre at (0, 0).
    """
    matrix = _patch_to_frame(landmarks)
    away = landmarks[INNER_LIPS, :2].astype(np.float64) - matrix[:, 2]
    return np.asarray(np.linalg.solve(matrix[:, :2], away.T).T, np.float32)


def _patch_to_frame(landmarks: NDArray[np.float32]) -> NDArray[np.float64]:
    """Affine (2, 3) from texture pixels to frame pixels."""
    rows, columns = MOUTH_SIZE
    ring = landmarks[INNER_LIPS, :2].astype(np.float64)
    across = ring[_CORNERS[1]] - ring[_CORNERS[0]]
    width = float(np.hypot(*across))
    x_axis = across / width if width > 0 else np.array([1.0, 0.0])
    axes = np.column_stack([x_axis, [-x_axis[1], x_axis[0]]])
    inside = ring @ axes
    low, high = inside.min(axis=0), inside.max(axis=0)
    tall = float(high[1] - low[1]) * columns / rows
    scale = max(_SPAN * max(width, tall), 1e-3) / columns
    linear = axes * scale
    centre = axes @ ((low + high) / 2)
    return np.column_stack([linear, centre - linear @ np.array([(columns - 1) / 2, (rows - 1) / 2])])
