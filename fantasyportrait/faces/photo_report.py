"""Warnings before a run: about each face of a photo, and about a face with the person of a clip that drives it."""

from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.sentences import Sentence
from fantasyportrait.faces.face_size_check import Size, small_face_warnings
from fantasyportrait.faces.mesh import OVAL
from fantasyportrait.faces.mouth_cover import mouth_is_covered
from fantasyportrait.faces.track_report import report_track
from fantasyportrait.schema.face import Face, Track

TURNED_DEGREES = 45
TILTED_DEGREES = 35
OTHER_SCALE = 1.5
"""Framing factor, or its inverse, from which a clip counts as one of another scale."""
_CUT_SHARE = 0.03
_FOREHEAD_POINT, _CHIN_POINT = 10, 152


def photo_warnings(
    pixels: NDArray[np.uint8], faces: Sequence[Face], size_of: Callable[[int | None], Size], max_side: int | None = None
) -> dict[int, tuple[str, ...]]:
    """Sentences about each face by its number: small in the video, turned, cut by the border, mouth covered.

    `pixels` is the RGB photo (H, W, 3) of the faces' coordinates. `size_of` returns the (width, height) of the video
    for a `max_side`, as the chosen engine makes it.
    """
    photo = pixels.shape[1], pixels.shape[0]
    return {
        face.id: (
            *small_face_warnings([face], photo, size_of(max_side), size_of),
            *_turned(face),
            *_cut(face, photo),
            *_covered(pixels, face),
        )
        for face in faces
    }


def driver_warnings(
    face: Face, photo: Size, track: Track, rate: Fraction | None, absolute: bool, file_size: Size | None = None
) -> tuple[str, ...]:
    """Sentences about the person of a clip as the driver of a face: lost, short, small, turned away, of another scale.

    Args:
        face: the face that is driven, in pixels of the photo.
        photo: (width, height) of the photo.
        track: the person's track.
        rate: rows of the track a second; None for that of a still picture.
        absolute: whether the driver's pose is taken over; only then the framing of the clip matters.
        file_size: (width, height) of the clip's own frames, see `report_track`.
    """
    warnings = report_track(track, rate, file_size).warnings
    return (*warnings, *(_scale(face, photo, track) if absolute and track.valid.any() else ()))


def framing_factor(face: Face, photo: Size, track: Track) -> float:
    """How many times more of the clip's picture the driver's head takes than the face's head of the photo.

    Heads are measured from forehead to chin, against the shorter side of their picture; of the track, the median over
    the frames that show the face.
    """
    seen = track.landmarks[track.valid].astype(np.float64)
    driver = float(np.median(np.linalg.norm(seen[:, _CHIN_POINT] - seen[:, _FOREHEAD_POINT], axis=1)))
    own = float(np.linalg.norm(face.landmarks[_CHIN_POINT] - face.landmarks[_FOREHEAD_POINT]))
    return driver / min(track.size) / max(own / min(photo), 1e-9)


def _scale(face: Face, photo: Size, track: Track) -> list[str]:
    factor = framing_factor(face, photo, track)
    if 1 / OTHER_SCALE < factor < OTHER_SCALE:
        return []
    times, how = (factor, "larger") if factor > 1 else (1 / factor, "smaller")
    return [
        Sentence(
            "the driver's head is {times:.1f} times {how} in its picture than face {face} in the photo: with absolute "
            "motion the head can become {size}; choose relative motion, or a clip "
            "of the same framing",
            times=times,
            how=how,
            face=face.id,
            size="too large" if factor > 1 else "too small",
        )
    ]


def _turned(face: Face) -> list[str]:
    pose = face.pose
    warnings: list[str] = []
    if abs(pose.yaw) > TURNED_DEGREES:
        warnings.append(
            Sentence(
                "the face is turned {angle:.0f} degrees to the side: over {most} the far half is hidden "
                "and moves badly",
                angle=abs(pose.yaw),
                most=TURNED_DEGREES,
            )
        )
    if abs(pose.pitch) > TILTED_DEGREES:
        where = "down" if pose.pitch > 0 else "up"
        warnings.append(
            Sentence(
                "the face is turned {angle:.0f} degrees {where}: over {most} eyes and mouth are "
                "foreshortened and move badly",
                angle=abs(pose.pitch),
                where=where,
                most=TILTED_DEGREES,
            )
        )
    return warnings


def _cut(face: Face, photo: Size) -> list[str]:
    """A warning where the outline of the face lies outside of the photo by more than 3 % of the face's side."""
    outline = face.landmarks[OVAL, :2]
    low, high = outline.min(axis=0), outline.max(axis=0)
    beyond = {
        "left": -low[0],
        "top": -low[1],
        "right": high[0] - photo[0],
        "bottom": high[1] - photo[1],
    }
    borders = [name for name, length in beyond.items() if length > _CUT_SHARE * face.side]
    if not borders:
        return []
    return [
        Sentence(
            "the face is cut by the {borders} of the photo: what is missing cannot move",
            borders=" and the ".join(borders),
        )
    ]


def _covered(pixels: NDArray[np.uint8], face: Face) -> list[str]:
    if not mouth_is_covered(pixels, face.landmarks):
        return []
    return ["the mouth seems to be covered: a mouth that moves is drawn over what covers it"]
