"""Draw numbered boxes; a face has the same colour everywhere in the app."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fantasyportrait.images.images import resize, save_image
from fantasyportrait.schema.face import Face, Track

Colour = tuple[int, int, int]

FACE_COLOURS: tuple[Colour, ...] = (
    (230, 85, 13),
    (33, 113, 181),
    (35, 139, 69),
    (136, 65, 157),
    (206, 18, 86),
    (140, 108, 16),
    (0, 128, 128),
    (82, 82, 82),
)
"""RGB; white text on any of them has a contrast above 3 to 1."""


def face_colour(number: int) -> Colour:
    """Return the colour of face (or person) 1, 2, 3 ...; colours repeat after the last."""
    return FACE_COLOURS[(number - 1) % len(FACE_COLOURS)]


def annotate(pixels: NDArray[np.uint8], faces: Sequence[Face], max_side: int | None = None) -> NDArray[np.uint8]:
    """A copy of a photo (H, W, 3) RGB with each face's box and number, reduced to `max_side` pixels where given."""
    height, width = pixels.shape[:2]
    scale = 1.0 if max_side is None else min(1.0, max_side / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return draw_boxes(resize(pixels, size, fast=True), [(face.id, face.box * np.float32(scale)) for face in faces])


def annotate_tracks(pixels: NDArray[np.uint8], tracks: Sequence[Track], row: int = 0) -> NDArray[np.uint8]:
    """Return a copy of frame `row` of a clip with the box and number of every person."""
    return draw_boxes(pixels, [(track.person, track.boxes[row]) for track in tracks])


def draw_boxes(pixels: NDArray[np.uint8], boxes: Sequence[tuple[int, NDArray[np.float32]]]) -> NDArray[np.uint8]:
    """Return a copy of the picture with (number, xyxy box) pairs drawn in their colours."""
    picture: NDArray[np.uint8] = pixels.copy()
    line = max(2, round(max(picture.shape[:2]) / 400))
    for number, box in boxes:
        colour = face_colour(number)
        left, top, right, bottom = (round(float(value)) for value in box)
        cv2.rectangle(picture, (left, top), (right, bottom), colour, line)
        scale = 0.35 * line
        (width, height), below = cv2.getTextSize(str(number), cv2.FONT_HERSHEY_SIMPLEX, scale, line)
        corner = max(top, height + 2 * below)
        cv2.rectangle(picture, (left, corner - height - 2 * below), (left + width + 2 * below, corner), colour, -1)
        cv2.putText(
            picture, str(number), (left + below, corner - below), cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), line
        )
    return picture


def write_annotated(path: Path, pixels: NDArray[np.uint8], faces: Sequence[Face]) -> None:
    """Save `annotate`'s picture; `OutputError` where it cannot be written."""
    save_image(path, annotate(pixels, faces))
