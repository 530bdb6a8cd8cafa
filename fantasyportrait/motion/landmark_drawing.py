"""Landmarks as a line drawing, for the driving column of a face without a clip."""

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from fantasyportrait.faces.mesh import (
    INNER_LIPS,
    LEFT_BROW,
    LEFT_EYE,
    LEFT_IRIS,
    OUTER_LIPS,
    OVAL,
    RIGHT_BROW,
    RIGHT_EYE,
    RIGHT_IRIS,
    CanonicalFace,
)
from fantasyportrait.motion.builtin import builtin_motion
from fantasyportrait.schema.timeline import Timeline

SIDE = 240
GROUND, LINE, IRIS = (38, 38, 43), (212, 212, 216), (96, 165, 250)
RINGS = (OVAL, LEFT_EYE, RIGHT_EYE, LEFT_BROW, RIGHT_BROW, OUTER_LIPS, INNER_LIPS)
FACE_SHARE = 0.72
SUBPIXEL_BITS = 4
_FAR_PX = 30_000.0


def draw_landmarks(name: str, timeline: Timeline, canonical: CanonicalFace) -> Iterator[NDArray[np.uint8]]:
    """The motion drawn with the lines of a face, uint8 (240, 240, 3) RGB, a frame of the timeline each."""
    rest = canonical.points[:, :2]
    low, high = rest.min(axis=0), rest.max(axis=0)
    scale = FACE_SHARE * SIDE / float((high - low).max())
    for points in builtin_motion(name, timeline.frames, timeline.rate, canonical).landmarks:
        yield draw_face((points[:, :2] - (low + high) / 2) * scale + SIDE / 2, (SIDE, SIDE))


def draw_face(points: NDArray[np.floating], size: tuple[int, int]) -> NDArray[np.uint8]:
    """The lines of landmarks (478, 2 or 3) on a dark frame of `size` (width, height) pixels, uint8 RGB."""
    # OpenCV draws with whole numbers of 32 bits.
    pixels = np.clip(points[:, :2], -_FAR_PX, _FAR_PX) * 2**SUBPIXEL_BITS
    frame = np.full((size[1], size[0], 3), GROUND, np.uint8)
    places = pixels.round().astype(np.int32)
    for iris in (LEFT_IRIS, RIGHT_IRIS):
        centre = places[iris[0]]
        radius = int(np.linalg.norm(pixels[iris[1]] - pixels[iris[3]]) / 2)
        cv2.circle(frame, (int(centre[0]), int(centre[1])), radius, IRIS, -1, cv2.LINE_AA, SUBPIXEL_BITS)
    cv2.polylines(frame, [places[ring] for ring in RINGS], True, LINE, 1, cv2.LINE_AA, SUBPIXEL_BITS)
    return frame
