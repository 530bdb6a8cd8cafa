"""Outlines of heads in the colours of their faces, so that one sees which face is which."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from fantasyportrait.faces.annotate import face_colour
from fantasyportrait.faces.masks import FaceAxes
from fantasyportrait.preview.engine import HeadShape
from fantasyportrait.preview.raster import Window
from fantasyportrait.preview.rig import head_share

# Width of the line and reach of the glow around it, as shares of the picture's longest side.
_LINE, _GLOW = 0.005, 0.015
_GLOW_STRENGTH = 0.5
# A line as light as the picture behind it would vanish: a thin white rim separates them.
_RIM_STRENGTH = 0.75
# The line goes around the head and fades on the neck, where the mask ends: shares of the head's movement.
_FADE_FROM, _FADE_TO = 0.98, 0.55


def draw_outlines(pixels: NDArray[np.uint8], heads: Sequence[HeadShape], strength: float = 1.0) -> NDArray[np.uint8]:
    """A copy of a frame (H, W, 3) RGB with the outline of each head in the colour of its face.

    `heads` go from far to near; a nearer head covers the outlines of those behind it. `strength` 0 draws nothing, 1
    a line with a soft glow.
    """
    picture: NDArray[np.uint8] = pixels.copy()
    covered = np.zeros(pixels.shape[:2], np.float32)
    for head in reversed(heads):
        if strength > 0 and head.alpha.size:
            _draw_outline(picture, head, covered, strength)
    return picture


def _draw_outline(picture: NDArray[np.uint8], head: HeadShape, covered: NDArray[np.float32], strength: float) -> None:
    """Draw one outline where `covered` (H, W) is 0, and add the head to it."""
    longest = max(picture.shape[:2])
    line, glow = max(1.5, _LINE * longest), max(3.0, _GLOW * longest)
    corners = np.array([[head.window.left, head.window.top], [head.window.right - 1, head.window.bottom - 1]])
    window = Window.around(corners.astype(np.float64), 1.5 * glow, picture.shape)
    alpha = np.zeros(window.shape, np.float32)
    top, left = head.window.top - window.top, head.window.left - window.left
    alpha[top : top + head.alpha.shape[0], left : left + head.alpha.shape[1]] = head.alpha
    distance = _distance(alpha)
    free = strength * (1 - window.of(covered)) * _above_neck(head, window)
    rim = _RIM_STRENGTH * _band(distance, line + 0.8, 0.6)
    halo = _GLOW_STRENGTH * np.exp(-3 * np.square(distance / glow)) * (distance > 0)
    area = window.of(picture)
    mixed = area.astype(np.float32)
    for colour, share in (
        ((255, 255, 255), rim),
        (face_colour(head.face.id), np.maximum(halo, _band(distance, line / 2, line / 2))),
    ):
        mixed += (np.array(colour, np.float32) - mixed) * (share * free)[..., None]
    area[:] = np.clip(np.round(mixed), 0, 255)
    window.of(covered)[:] = np.maximum(window.of(covered), alpha)


def _above_neck(head: HeadShape, window: Window) -> NDArray[np.float32]:
    """1 (h, w) around the head, falling to 0 below the chin."""
    y, x = np.mgrid[window.top : window.bottom, window.left : window.right].astype(np.float32)
    follows = head_share(x, y, FaceAxes.of(head.face.landmarks))
    share = np.clip((follows - _FADE_TO) / (_FADE_FROM - _FADE_TO), 0, 1)
    return np.asarray(share * share * (3 - 2 * share), np.float32)


def _distance(alpha: NDArray[np.float32]) -> NDArray[np.float32]:
    """Distance in pixels (h, w) from the edge of the head, negative inside."""
    inside = (cv2.GaussianBlur(alpha, (0, 0), 1.5) > 0.5).astype(np.uint8)
    outer = cv2.distanceTransform(1 - inside, cv2.DIST_L2, cv2.DIST_MASK_5)
    inner = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_5)
    return np.asarray(cv2.GaussianBlur(outer - inner, (0, 0), 1.0), np.float32)


def _band(distance: NDArray[np.float32], middle: float, half: float) -> NDArray[np.float32]:
    """1 in a band around the distance `middle`, with an edge of one pixel."""
    return np.asarray(np.clip(half + 0.5 - np.abs(distance - middle), 0, 1), np.float32)
