"""A drawn mouth for built-in motions: a dark cavity, the upper teeth, the tongue."""

import cv2
import numpy as np
from numpy.typing import NDArray

from fantasyportrait.preview.raster import Window

_CAVITY = np.array([48, 16, 16], np.float32)
_TEETH = np.array([232, 216, 194], np.float32)
_SKIN_CHROMA = np.array([1.2, 0.95, 0.85], np.float32)
_TONGUE = np.array([158, 76, 76], np.float32)


def draw_mouth(
    ring: NDArray[np.float64], resting: NDArray[np.float64], window: Window, skin: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """The inside of an open mouth, uint8 (h, w, 3), on the pixels of `window`.

    Args:
        ring: inner lips (20, 2) now, pixels.
        resting: inner lips (20, 2) of the shut mouth, carried by the head only: the upper teeth hang there.
        window: the pixels to draw.
        skin: RGB (3,) 0 to 255 of the skin around the lips, from which the light is estimated.
    """
    across, down, width = _axes(resting)
    middle = resting.mean(axis=0)
    y, x = np.mgrid[window.top : window.bottom, window.left : window.right].astype(np.float32)
    u = ((x - middle[0]) * across[0] + (y - middle[1]) * across[1]) / (0.5 * width)
    v = ((x - middle[0]) * down[0] + (y - middle[1]) * down[1]) / width
    own = (ring - middle) @ np.column_stack([across / (0.5 * width), down / width])
    half = len(ring) // 2
    upper = np.interp(u, *_sorted(own[: half + 1])).astype(np.float32)
    lower = np.interp(u, *_sorted(np.concatenate([own[half:], own[:1]]))).astype(np.float32)
    depth, floor = v - upper, lower - v

    light = _light(skin)
    sides = np.clip(1 - 0.65 * u * u, 0.15, 1)
    colour = _CAVITY * (0.5 + 0.9 * np.clip(floor / 0.25, 0, 1))[..., None]
    tongue = _soft_step(0.2 * (1 - 0.7 * u * u) - floor, 0.05) * _soft_step(lower - upper - 0.16, 0.06)
    colour = _over(colour, _TONGUE * (0.55 + 0.45 * sides)[..., None], tongue)
    edge = 0.075 * np.sqrt(np.clip(1 - 0.75 * u * u, 0.05, 1))
    teeth = _soft_step(edge - v, 0.018) * _soft_step(0.95 - np.abs(u), 0.15)
    # Lips shade the teeth; neighbours part by a faint line.
    shade = (0.5 + 0.5 * _soft_step(depth - 0.02, 0.05)) * sides
    seams = 1 - 0.16 * np.exp(-(((np.sin(u * np.pi * 3.2)) / 0.16) ** 2)) * np.clip((v + 0.02) / 0.05, 0, 1)
    colour = _over(colour, _TEETH * (shade * seams)[..., None], teeth)
    drawn = cv2.GaussianBlur(colour * light, (0, 0), max(0.5, 0.012 * width))
    return np.asarray(np.clip(np.round(drawn), 0, 255), np.uint8)


def _light(skin: NDArray[np.float32]) -> NDArray[np.float32]:
    """Brightness and part of the tint of the light, RGB (3,), from skin in that light."""
    mean = float(skin.mean())
    chroma = skin / max(mean, 1.0) / _SKIN_CHROMA
    return np.asarray(np.clip(mean / 150, 0.35, 1.05) * np.clip(chroma, 0.6, 1.6) ** 0.5, np.float32)


def _axes(ring: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Unit vectors along and across the mouth, and its width."""
    across = ring[len(ring) // 2] - ring[0]
    width = max(float(np.linalg.norm(across)), 1e-6)
    across = across / width
    return across, np.array([-across[1], across[0]]), width


def _sorted(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    order = np.argsort(points[:, 0])
    return points[order, 0], points[order, 1]


def _soft_step(value: NDArray[np.float32], width: float) -> NDArray[np.float32]:
    t = np.clip(value / width + 0.5, 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def _over(under: NDArray[np.float32], over: NDArray[np.float32], share: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(under + (over - under) * share[..., None], np.float32)
