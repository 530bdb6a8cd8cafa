"""Warnings about cast faces that are too small in the video."""

from collections.abc import Callable, Sequence

from fantasyportrait.core.sentences import Sentence
from fantasyportrait.faces.analyser import SMALLEST_FACE
from fantasyportrait.schema.face import Face
from fantasyportrait.schema.request import MAX_SIDE

Size = tuple[int, int]


def small_face_warnings(faces: Sequence[Face], photo: Size, size: Size, size_of: Callable[[int], Size]) -> list[str]:
    """At most one message: the cast faces under 50 px in the video, and the `--max-side` that enlarges them.

    Args:
        faces: the faces that are cast, in pixels of the photo.
        photo: (width, height) of the photo.
        size: (width, height) of the video.
        size_of: the size of the video for a `--max-side`.
    """
    small = [face for face in faces if _is_small(face.side, photo, size)]
    if not small:
        return []
    smallest = min(face.side for face in small)
    one = len(small) == 1
    numbers = ", ".join(str(face.id) for face in small)
    pixels = smallest * _scale(photo, size)
    names = Sentence("face {numbers} is" if one else "faces {numbers} are", numbers=numbers)
    largest = Sentence("{pixels:.0f} px" if one else "as little as {pixels:.0f} px", pixels=pixels)
    side = _needed_side(smallest, photo, size_of)
    keeps = "it" if one else "each of them"
    advice = (
        Sentence(
            "on the command line --max-side {side} keeps {keeps} at {smallest_face} px or more",
            side=side,
            keeps=keeps,
            smallest_face=SMALLEST_FACE,
        )
        if side is not None
        else "crop the photo around them"
    )
    return [
        Sentence(
            "{names} {largest} large in the video ({width} x {height}), too small to move well: {advice}",
            names=names,
            largest=largest,
            width=size[0],
            height=size[1],
            advice=advice,
        )
    ]


def _needed_side(smallest: float, photo: Size, size_of: Callable[[int], Size]) -> int | None:
    """The smallest even `--max-side` at which a face of `smallest` photo pixels has 50 pixels in the video; None where
    that exceeds `MAX_SIDE`."""
    side = int(max(photo) * SMALLEST_FACE / smallest) // 2 * 2
    while side <= MAX_SIDE:
        if not _is_small(smallest, photo, size_of(side)):
            return side
        side += 2
    return None


def _is_small(side: float, photo: Size, size: Size) -> bool:
    """Whether a face has under 50 px in the video; rounding ignores the pixel lost by making its sides even."""
    return round(side * _scale(photo, size)) < SMALLEST_FACE


def _scale(photo: Size, size: Size) -> float:
    """Pixels of the video for each of the photo, on the side that is reduced most."""
    return min(size[0] / photo[0], size[1] / photo[1])
