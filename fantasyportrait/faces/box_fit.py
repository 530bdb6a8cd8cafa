"""The face mesh fitted to a box that a user drew around a face which the detector missed."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.errors import FaceError
from fantasyportrait.core.geometry import Array, bounding_box, box_iou
from fantasyportrait.faces.landmarks import Crop, LandmarkNet, Landmarks
from fantasyportrait.schema.face import Face
from fantasyportrait.schema.face_edits import Box

PRESENT = 0.5
"""Least presence of a mesh that lies on a face: below 0.01 without one, above 0.8 for a statue or a near profile."""
SAME_FACE = 0.4
"""Least overlap (intersection over union) of two meshes of the same face."""

_MARGIN = 1.5
_PASSES = 4
# Boxes are drawn tight or with the hair; heads lean. The box as drawn comes first: it nearly always fits.
_ROLLS = (0.0, 40.0, -40.0)
_SCALES = (1.0, 0.75, 1.3)
# A mesh that stays on one face moves little in its last pass.
_STEADY = 0.85
# The net also sees faces in folds of cloth and in plain walls, but not in the same place from another crop. The crop's
# size, shift right and down in crop sides, and roll in degrees; then the least mean presence and overlap. Of faces,
# also turned, covered and drawn ones, the means are at least 0.87 and 0.91; elsewhere the overlap is at most 0.83.
_OTHER_CROPS = (
    *((0.8, 0.0, 0.0, 0.0), (1.3, 0.0, 0.0, 0.0), (1.0, 0.1, 0.0, 0.0), (1.0, -0.1, 0.0, 0.0)),
    *((1.0, 0.0, 0.1, 0.0), (1.0, 0.0, -0.1, 0.0), (1.0, 0.0, 0.0, 15.0), (1.0, 0.0, 0.0, -15.0)),
)
_SEEN_AGAIN, _SAME_PLACE = 0.75, 0.86
_LEAST_OVERLAP = 0.25


def fit_face(net: LandmarkNet, pixels: NDArray[np.uint8], box: Box) -> Landmarks:
    """The mesh of the face in an xyxy box, in pixels of the RGB photo (H, W, 3).

    The box is searched as it is, then smaller, larger and rotated. A mesh counts where its presence is at least 0.5,
    its centre lies in the box, another pass does not move it away, and it is found again in other crops. Raises
    `FaceError` where none does, and for a box outside the photo.
    """
    _check_inside(box, pixels.shape[1], pixels.shape[0])
    for crop in _crops(box):
        overlap, before = 0.0, None
        for _ in range(_PASSES):
            reading = net.read(pixels, crop)
            after = bounding_box(reading.points)
            overlap, before = 0.0 if before is None else box_iou(before, after), after
            crop = Crop.of_landmarks(reading.points)
        steady = reading.presence >= PRESENT and overlap >= _STEADY and _lies_in(after, box)
        if steady and _is_found_again(net, pixels, reading):
            return reading
    raise FaceError("no face mesh fits the box ({box}): draw it tighter around the whole face", box=box_text(box))


def check_apart(number: int, box: Array, others: Sequence[Face]) -> None:
    """Raise `FaceError` where the mesh's box of the added face `number` lies on a face that is already there."""
    for face in others:
        if box_iou(box, face.box) > SAME_FACE:
            raise FaceError(
                "the added face {number} is the same as face {face}: draw the box around another face, or remove "
                "face {again} first",
                number=number,
                face=face.id,
                again=face.id,
            )


def box_text(box: Sequence[float]) -> str:
    """The box in words: x 410 to 520, y 96 to 230."""
    left, top, right, bottom = (round(float(value)) for value in box)
    return f"x {left} to {right}, y {top} to {bottom}"


def _is_found_again(net: LandmarkNet, pixels: NDArray[np.uint8], reading: Landmarks) -> bool:
    """Whether the net finds the same mesh in crops that are a little larger, smaller, shifted and rotated."""
    crop, mesh = Crop.of_landmarks(reading.points), bounding_box(reading.points)
    presence, overlap = [], []
    for scale, right, down, roll in _OTHER_CROPS:
        centre = crop.centre + np.array([right, down]) * crop.side
        again = net.read(pixels, Crop(centre, scale * crop.side, crop.roll + float(np.radians(roll))))
        presence.append(again.presence)
        overlap.append(box_iou(mesh, bounding_box(again.points)))
    return float(np.mean(presence)) >= _SEEN_AGAIN and float(np.mean(overlap)) >= _SAME_PLACE


def _crops(box: Box) -> Iterator[Crop]:
    left, top, right, bottom = box
    centre, side = np.array([left + right, top + bottom]) / 2, _MARGIN * max(right - left, bottom - top)
    for roll in _ROLLS:
        for scale in _SCALES:
            yield Crop(centre, side * scale, float(np.radians(roll)))


def _lies_in(mesh: Array, box: Box) -> bool:
    """Whether the mesh's box has its centre in the drawn box, and about its size."""
    x, y = (mesh[0] + mesh[2]) / 2, (mesh[1] + mesh[3]) / 2
    return bool(box[0] <= x <= box[2] and box[1] <= y <= box[3]) and box_iou(mesh, np.asarray(box)) >= _LEAST_OVERLAP


def _check_inside(box: Box, width: int, height: int) -> None:
    if not (0 <= (box[0] + box[2]) / 2 <= width and 0 <= (box[1] + box[3]) / 2 <= height):
        raise FaceError(
            "the box of the added face ({box}) lies outside of the photo ({width} x {height}): give pixels "
            "of the photo",
            box=box_text(box),
            width=width,
            height=height,
        )
