"""Where each face of the portrait listens to its own motion, as one map of the whole picture."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.geometry import Array

# A driver's head may leave its first box by so much of the box's side; farther is a tracking error.
_FARTHEST = 0.25


@dataclass(frozen=True, eq=False)
class Region:
    """One face's part of the picture.

    Attributes:
        face: its id.
        inside: bool (H, W), True where it listens to its own motion.
        nearness: where two regions overlap, the face with the larger number has the pixel.
    """

    face: int
    inside: NDArray[np.bool_]
    nearness: float


def excursion(driver_boxes: Array) -> NDArray[np.float64]:
    """How far a driving face leaves its first box (4,): left, top, right, bottom, as shares of that box's sides.

    `driver_boxes` (F, 4) xyxy; at most 0.25 each, never negative.
    """
    boxes = np.asarray(driver_boxes, np.float64)
    sides = np.tile(boxes[0, 2:] - boxes[0, :2], 2)
    outward = np.array([-1.0, -1.0, 1.0, 1.0])
    reach = ((boxes - boxes[0]) * outward).max(axis=0) / np.maximum(sides, 1e-6)
    return np.asarray(np.clip(reach, 0.0, _FARTHEST))


def grown_box(box: Array, reach: Array) -> NDArray[np.int64]:
    """The box (4,) xyxy grown by shares `reach` (4,) of its sides, cut to whole pixels (SPEC section 4)."""
    box64 = np.asarray(box, np.float64)
    sides = np.tile(box64[2:] - box64[:2], 2)
    return np.asarray(np.trunc(box64 + np.array([-1.0, -1.0, 1.0, 1.0]) * np.asarray(reach) * sides), np.int64)


def box_region(face: int, box: Array, reach: Array, size: tuple[int, int]) -> Region:
    """The published region: the grown box, in a picture of (width, height)."""
    left, top, right, bottom = np.maximum(grown_box(box, reach), 0)
    inside = np.zeros((size[1], size[0]), np.bool_)
    inside[top:bottom, left:right] = True
    return Region(face, inside, _height(box))


def mask_region(face: int, mask: NDArray[np.uint8] | NDArray[np.bool_], box: Array, reach: Array) -> Region:
    """A mask (H, W), inside where above a half of its range, grown by the driver's excursion on each side."""
    top = 255 if mask.dtype == np.uint8 else 1
    inside = np.asarray(mask > top / 2, np.uint8)
    left, up, right, down = (round(float(share)) for share in np.asarray(reach) * np.tile(_sides(box), 2))
    kernel = np.ones((up + down + 1, left + right + 1), np.uint8)
    # A pixel is inside when the mask is anywhere from `right` before it to `left` behind it, likewise up and down.
    grown = cv2.dilate(inside, kernel, anchor=(right, down))
    return Region(face, grown > 0, _height(box))


def face_map(regions: Sequence[Region]) -> NDArray[np.int32]:
    """int32 (H, W): 0 background, i the face with id i; where regions overlap the nearer face has the pixel."""
    painted = np.zeros(regions[0].inside.shape, np.int32)
    for region in sorted(regions, key=lambda region: region.nearness):
        painted[region.inside] = region.face
    return painted


def _sides(box: Array) -> NDArray[np.float64]:
    return np.asarray(box[2:] - box[:2], np.float64)


def _height(box: Array) -> float:
    return float(box[3] - box[1])
