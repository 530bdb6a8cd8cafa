"""Geometry of the original crops.

Two crops: 128 px for the landmark net, upright around a box or the last landmarks; 224 px for the motion encoder, five
points laid onto fixed targets. Matrices (2, 3) map pixels of the image to pixels of the crop.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.geometry import Array, estimate_similarity

LANDMARK_SIDE = 128
CROP_SIDE = 224
_MARGIN = 0.15

FIVE_OF_222 = np.array([182, 202, 36, 149, 133])
"""Of the 222 landmarks: pupils, nose, corners of the mouth, each pair the left of the image first."""

FIVE_OF_MESH = np.array([468, 473, 1, 61, 291])
"""The same five of the 478-point mesh: irises, nose, corners of the mouth."""

_MIRRORED_FIVE = np.array([1, 0, 2, 4, 3])
_TARGETS = np.array([[0.3843, 0.27], [0.62, 0.2668], [0.503, 0.4185], [0.406, 0.5273], [0.5977, 0.525]])
# The two eye corners that define a face's roll.
_EYE_CORNERS = (74, 96)
# The cubic kernel's parameter, as in OpenCV.
_CUBIC = -0.75


def box_to_crop(box: Array) -> NDArray[np.float64]:
    """Matrix (2, 3) that centres the box (4,) xyxy in the 128 px crop, its longer side 85 % of it."""
    return _centred(np.asarray(box, np.float64), np.eye(2))


def roll_of(points: Array) -> float:
    """Roll in degrees of the 222 landmarks (222, 2): the slope from the one eye's corner to the other's."""
    across = points[_EYE_CORNERS[1]] - points[_EYE_CORNERS[0]]
    return float(np.degrees(np.arctan2(across[1], across[0])))


def points_to_crop(points: Array, roll: float) -> NDArray[np.float64]:
    """Matrix (2, 3) that turns landmarks (N, 2) upright by their `roll` in degrees and centres them as a box."""
    cosine, sine = np.cos(np.radians(roll)), np.sin(np.radians(roll))
    upright = np.array([[cosine, sine], [-sine, cosine]])
    turned = np.asarray(points, np.float64) @ upright.T
    return _centred(np.concatenate([turned.min(axis=0), turned.max(axis=0)]), upright)


def landmark_crop(pixels: NDArray[np.uint8], matrix: Array) -> NDArray[np.float32]:
    """The landmark net's input, float32 (1, 3, 128, 128), blue first, 0 to 1, of an RGB image (H, W, 3)."""
    size = (LANDMARK_SIDE, LANDMARK_SIDE)
    patch = np.asarray(cv2.warpAffine(pixels, np.asarray(matrix, np.float64), size, flags=cv2.INTER_LINEAR))
    return np.ascontiguousarray(patch[..., ::-1].transpose(2, 0, 1)[None].astype(np.float32) / np.float32(255))


def to_image(points: Array, matrix: Array) -> NDArray[np.float64]:
    """Points (N, 2) of a crop in pixels of the image."""
    return np.asarray((np.asarray(points, np.float64) - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T)


def five_point_matrix(five: Array) -> NDArray[np.float64]:
    """Matrix (2, 3) of the least-squares similarity (Umeyama) of the five points (5, 2) onto their targets."""
    fit = estimate_similarity(five, _TARGETS * CROP_SIDE)
    return np.column_stack([fit.scale * fit.rotation, fit.shift])


def face_crop(pixels: NDArray[np.uint8], matrix: Array) -> NDArray[np.uint8]:
    """The motion encoder's crop, RGB uint8 (224, 224, 3), of an RGB image; pixels outside of the image are black.

    It is cubic, at exact coordinates. OpenCV 4 rounds them to 1/32 pixel, which is a grey level off in an eighth of the
    values; so it only fetches the sixteen neighbours here.
    """
    scaled = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))
    down, across = np.mgrid[:CROP_SIDE, :CROP_SIDE].astype(np.float64)
    x, y = (scaled[axis, 0] * across + scaled[axis, 1] * down + scaled[axis, 2] for axis in (0, 1))
    left, top = np.floor(x), np.floor(y)
    x_weights, y_weights = _cubic_weights(x - left), _cubic_weights(y - top)
    crop = np.zeros((CROP_SIDE, CROP_SIDE, 3), np.float32)
    for row in range(4):
        line = np.zeros_like(crop)
        for column in range(4):
            places = (left + (column - 1)).astype(np.float32), (top + (row - 1)).astype(np.float32)
            line += x_weights[column] * cv2.remap(pixels, *places, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT)
        crop += y_weights[row] * line
    return np.asarray(np.clip(np.rint(crop), 0, 255), np.uint8)


def encoder_input(crop: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The motion encoder's input from a crop (224, 224, 3): float32 (3, 224, 224), RGB, -1 to 1."""
    return np.ascontiguousarray(crop.transpose(2, 0, 1).astype(np.float32) / np.float32(255) * 2 - 1)


def mirrored_five(five: Array, width: int) -> NDArray[np.float64]:
    """The five points (5, 2) in the mirrored image, which is `width` pixels wide."""
    swapped: NDArray[np.float64] = np.asarray(five, np.float64)[_MIRRORED_FIVE]
    swapped[:, 0] = width - 1 - swapped[:, 0]
    return swapped


def _centred(box: NDArray[np.float64], turn: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn (2, 2), then put the box of the turned image in the middle of the 128 px crop."""
    size = max(float((box[2:] - box[:2]).max()), 1e-6)
    scale = LANDMARK_SIDE / size * (1 - _MARGIN)
    shift = LANDMARK_SIDE / 2 - scale * (box[:2] + box[2:]) / 2
    return np.column_stack([scale * turn, shift])


def _cubic_weights(share: NDArray[np.float64]) -> NDArray[np.float32]:
    """Weights (4, H, W, 1) of the neighbours at -1, 0, 1, 2 for places `share` (H, W) behind 0 (Keys 1981)."""
    away = np.stack([1 + share, share, 1 - share, 2 - share])
    near = ((_CUBIC + 2) * away - (_CUBIC + 3)) * away**2 + 1
    far = ((away - 5) * away + 8) * away * _CUBIC - 4 * _CUBIC
    inner = np.array([False, True, True, False]).reshape(4, 1, 1)
    return np.where(inner, near, far)[..., None].astype(np.float32)
