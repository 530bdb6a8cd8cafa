"""Where each face of the portrait attends to its own motion, as one map of the whole picture."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.geometry import Array

# A driver's head may leave its first box by so much of the box's side; farther is a tracking error.
_FARTHEST = 0.25
_LEAST_SEEN = 1 / 3


@dataclass(frozen=True, eq=False)
class FaceMask:
    """Where one face attends to its own motion.

    Attributes:
        face: its id.
        inside: bool (H, W), True inside the mask.
        depth_order: where two masks overlap, the face with the larger number has the pixel.
        core: bool (H, W), the face itself: what it keeps where other masks would cover most of it.
    """

    face: int
    inside: NDArray[np.bool_]
    depth_order: float
    core: NDArray[np.bool_]


def box_margins(driver_boxes: Array, mirror: bool = False) -> NDArray[np.float64]:
    """How far a driving face leaves its first box (4,): left, top, right, bottom, as shares of that box's sides.

    `driver_boxes` (F, 4) xyxy; at most 0.25 each, never negative. `mirror` swaps left and right.
    """
    boxes = np.asarray(driver_boxes, np.float64)
    sides = np.tile(boxes[0, 2:] - boxes[0, :2], 2)
    outward = np.array([-1.0, -1.0, 1.0, 1.0])
    farthest = ((boxes - boxes[0]) * outward).max(axis=0) / np.maximum(sides, 1e-6)
    margins = np.clip(farthest, 0.0, _FARTHEST)
    return np.asarray(margins[[2, 1, 0, 3]] if mirror else margins)


def expanded_box(box: Array, margins: Array) -> NDArray[np.int64]:
    """The box (4,) xyxy grown by the shares `margins` (4,) of its sides, cut to whole pixels."""
    box64 = np.asarray(box, np.float64)
    sides = np.tile(box64[2:] - box64[:2], 2)
    return np.asarray(np.trunc(box64 + np.array([-1.0, -1.0, 1.0, 1.0]) * np.asarray(margins) * sides), np.int64)


def box_mask(face: int, box: Array, margins: Array, size: tuple[int, int]) -> FaceMask:
    """The original mask: the grown box, in a picture of (width, height)."""
    core = _filled(expanded_box(box, np.zeros(4)), size)
    return FaceMask(face, _filled(expanded_box(box, margins), size), _height(box), core)


def grown_mask(face: int, mask: NDArray[np.uint8] | NDArray[np.bool_], box: Array, margins: Array) -> FaceMask:
    """A mask (H, W), inside where above a half of its range, grown by the driver's margins on each side.

    A mask that holds nothing is replaced by the box, so that every face can be driven.
    """
    top = 255 if mask.dtype == np.uint8 else 1
    inside = np.asarray(mask > top / 2, np.uint8)
    boxed = box_mask(face, box, margins, (mask.shape[1], mask.shape[0]))
    if not inside.any():
        return boxed
    left, up, right, down = (round(float(share)) for share in np.asarray(margins) * np.tile(_sides(box), 2))
    kernel = np.ones((up + down + 1, left + right + 1), np.uint8)
    # A pixel is inside when the mask is anywhere from `right` before it to `left` behind it, likewise up and down.
    grown = cv2.dilate(inside, kernel, anchor=(right, down))
    return replace(boxed, inside=grown > 0)


def face_map(masks: Sequence[FaceMask]) -> NDArray[np.int32]:
    """int32 (H, W): 0 background, i the face with id i; where masks overlap the nearer face has the pixel.

    A face of which others leave less than a third keeps its core: a child held in an adult's arms is smaller, not
    farther.
    """
    painted = np.zeros(masks[0].inside.shape, np.int32)
    far_to_near = sorted(masks, key=lambda mask: mask.depth_order)
    for mask in far_to_near:
        painted[mask.inside] = mask.face
    for mask in reversed(far_to_near):
        seen = (painted[mask.core] == mask.face).mean()
        if seen < _LEAST_SEEN:
            painted[mask.core] = mask.face
    return painted


def _filled(box: NDArray[np.int64], size: tuple[int, int]) -> NDArray[np.bool_]:
    """bool (H, W) of a picture of (width, height), True inside the box; at least one pixel of it."""
    inside = np.zeros((size[1], size[0]), np.bool_)
    left, top = np.clip(box[:2], 0, np.array(size) - 1)
    right, bottom = np.maximum(box[2:], [left + 1, top + 1])
    inside[top:bottom, left:right] = True
    return inside


def _sides(box: Array) -> NDArray[np.float64]:
    return np.asarray(box[2:] - box[:2], np.float64)


def _height(box: Array) -> float:
    return float(box[3] - box[1])
