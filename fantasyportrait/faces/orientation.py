"""Pictures that lie on their side or stand on their head: how to turn them so that their faces stand upright."""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.faces.landmarks import Crop, Landmarks

Pixels = NDArray[np.uint8]
Rotation = Literal[0, 90, 180, 270]
"""Degrees clockwise."""

ROTATION_NAMES: dict[Rotation, str] = {
    90: "90 degrees clockwise",
    180: "180 degrees",
    270: "90 degrees counter-clockwise",
}
"""In words."""

# A head that leans is turned by less, and a picture that lies on its side shows heads turned by more.
_UPRIGHT_DEGREES = 60.0
_CLEARLY_MORE = 2
_OTHERS: tuple[Rotation, ...] = (90, 270, 180)


def best_orientation(
    pictures: Sequence[Pixels],
    read: Callable[[Pixels], Sequence[Landmarks]],
    known: Sequence[Landmarks] | None = None,
) -> Rotation:
    """How to turn pictures RGB (H, W, 3) of one camera (a photo, or frames of a clip) so that faces stand upright.

    `read` gives the faces of a picture, `known` those of all pictures as they are, where they were read before.
    Other orientations are looked at only where no face stands upright, or clearly more lie than stand, and one is
    chosen only if it shows more than twice as many upright faces. So an upright picture costs nothing, and somebody
    who lies next to an upright person turns nothing.
    """
    if known is None:
        known = [face for picture in pictures for face in read(picture)]
    if are_upright(known):
        return 0
    upright = _upright(known)
    best: Rotation = 0
    most = _CLEARLY_MORE * upright
    for turn in _OTHERS:
        count = sum(_upright(read(rotated(picture, turn))) for picture in pictures)
        if count > most:
            best, most = turn, count
    return best


def are_upright(faces: Sequence[Landmarks]) -> bool:
    """Whether there are upright faces, and not clearly more others."""
    upright = _upright(faces)
    return upright > 0 and len(faces) - upright <= _CLEARLY_MORE * upright


def rotated(pixels: Pixels, turn: Rotation) -> Pixels:
    """The picture (H, W, 3) turned clockwise."""
    return np.ascontiguousarray(np.rot90(pixels, -(turn // 90))) if turn else pixels


def roll_degrees(landmarks: NDArray[np.float32]) -> float:
    """The lean of a face (478, 3) on the picture, clockwise, -180 to 180, by the line between its eyes."""
    return float(np.degrees(Crop.of_landmarks(landmarks).roll))


def _upright(faces: Sequence[Landmarks]) -> int:
    """How many of the faces stand upright."""
    return sum(abs(roll_degrees(face.points)) <= _UPRIGHT_DEGREES for face in faces)
