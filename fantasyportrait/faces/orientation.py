"""Orientation of pictures: the rotation that makes their faces upright."""

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

# A leaning head has a smaller roll, and heads in a sideways picture have a larger one.
_UPRIGHT_DEGREES = 60.0
_CLEARLY_MORE = 2
_OTHERS: tuple[Rotation, ...] = (90, 270, 180)


def best_orientation(
    pictures: Sequence[Pixels],
    read: Callable[[Pixels], Sequence[Landmarks]],
    known: Sequence[Landmarks] | None = None,
) -> Rotation:
    """Return the rotation of pictures RGB (H, W, 3) of one camera (a photo, or frames of a clip) with upright faces.

    `read` returns the faces of a picture; `known` are those of all pictures as they are, where already analysed.
    Other orientations are tried only where no face is upright, or clearly more faces lie than stand, and one is chosen
    only if it has more than twice as many upright faces. So an upright picture costs nothing, and a person who lies
    next to an upright one changes nothing.
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
    """Whether some faces are upright, and not clearly more are tilted."""
    upright = _upright(faces)
    return upright > 0 and len(faces) - upright <= _CLEARLY_MORE * upright


def rotated(pixels: Pixels, turn: Rotation) -> Pixels:
    """The picture (H, W, 3) turned clockwise."""
    return np.ascontiguousarray(np.rot90(pixels, -(turn // 90))) if turn else pixels


def roll_degrees(landmarks: NDArray[np.float32]) -> float:
    """The lean of a face (478, 3) on the picture, clockwise, -180 to 180, by the line between its eyes."""
    return float(np.degrees(Crop.of_landmarks(landmarks).roll))


def _upright(faces: Sequence[Landmarks]) -> int:
    """Return how many of the faces are upright."""
    return sum(abs(roll_degrees(face.points)) <= _UPRIGHT_DEGREES for face in faces)
