"""Neck, shoulders and what is worn on them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from head import linear, mix
from look import Look
from shapes import Array, Points, bump, ellipsoid, join, ring, rod, smoothstep


@dataclass(frozen=True)
class Garment:
    """A distance function and a painter of one garment, both in the frame of the body."""

    shape: Callable[[Points, Look], Array]
    colours: Callable[[Points, Look], Array]


def neck(p: Points, look: Look) -> Array:
    """Neck and the skin below it."""
    column = rod(p, (0, -0.9, -0.30), (0, -2.1, -0.40), 0.46 * (0.5 + 0.5 * look.jaw), 0.50 * (0.5 + 0.5 * look.jaw))
    return join(column, ellipsoid(p, (0, -2.9, -0.45), (1.2, 0.8, 0.5)), 0.35)


def torso(p: Points) -> Array:
    """Shoulders and chest."""
    q = (np.abs(p[0]), p[1], p[2])
    shoulders = rod(q, (0.0, -2.42, -0.42), (1.22, -2.75, -0.45), 0.40, 0.46)
    chest = ellipsoid((p[0], np.maximum(p[1], np.float32(-3.7)), p[2]), (0, -3.7, -0.35), (1.45, 1.5, 0.75))
    arms = rod(q, (1.42, -2.85, -0.45), (1.70, -8.0, -0.4), 0.42, 0.42)
    return join(join(shoulders, chest, 0.4), arms, 0.2)


def _folds(p: Points) -> Array:
    return 0.012 * np.sin(6 * p[0] + 4 * p[1] + 2 * np.sin(3 * p[1])) * np.sin(3 * p[0] - 5 * p[1])


def _sweater(p: Points, look: Look) -> Array:
    knit = 0.006 * np.sin(40 * p[1] + 2 * np.sin(20 * p[0]))
    collar = ring(p, (0, -2.06, -0.38), (0.64, 0.56), 0.12, 0.32) + 0.008 * np.sin(34 * np.arctan2(p[0], p[2] + 0.38))
    return join(torso(p) + knit + _folds(p), collar, 0.05)


def _turtleneck(p: Points, look: Look) -> Array:
    roll = ring(p, (0, -1.86, -0.36), (0.56, 0.52), 0.17, 0.22)
    tube = rod(p, (0, -1.95, -0.36), (0, -2.5, -0.4), 0.60, 0.72)
    rib = 0.010 * np.sin(30 * np.arctan2(p[0], p[2] + 0.38))
    return join(torso(p) + _folds(p), join(roll, tube, 0.06) + rib, 0.1)


def _hoodie(p: Points, look: Look) -> Array:
    q = (np.abs(p[0]), p[1], p[2])
    hood = ring(p, (0, -2.00, -0.50), (0.86, 0.66), 0.22, 0.45)
    cords = rod(q, (0.22, -2.35, 0.30), (0.26, -3.05, 0.48), 0.030, 0.030)
    return np.minimum(join(torso(p) + _folds(p), hood, 0.10), cords)


def _shirt(p: Points, look: Look) -> Array:
    q = (np.abs(p[0]), p[1], p[2])
    opening = np.maximum(np.abs(p[0]) - 0.34 * np.clip((p[1] + 2.85) / 0.7, 0, 2), -2.85 - p[1])
    body = torso(p) + _folds(p)
    body = np.maximum(body, -opening * 0.7)
    flap = rod(q, (0.50, -1.92, -0.15), (0.22, -2.72, 0.26), 0.10, 0.13)
    flap = join(flap, rod(q, (0.50, -1.92, -0.15), (0.62, -2.50, 0.10), 0.10, 0.07), 0.25)
    back = ring(p, (0, -1.92, -0.40), (0.58, 0.50), 0.10, 0.1)
    back = np.maximum(back, p[2] + 0.1)
    return np.minimum(body, np.minimum(flap, back))


def _plain(p: Points, look: Look) -> Array:
    return np.repeat(linear(look.cloth)[None], len(p[0]), axis=0)


def _sweater_colours(p: Points, look: Look) -> Array:
    collar = smoothstep(0.03, -0.02, ring(p, (0, -2.06, -0.38), (0.64, 0.56), 0.13, 0.32))
    return mix(_plain(p, look), linear(look.trim), collar)


def _striped(p: Points, look: Look) -> Array:
    collar = smoothstep(0.03, -0.02, ring(p, (0, -2.06, -0.38), (0.64, 0.56), 0.13, 0.32))
    bands = smoothstep(-0.12, 0.12, np.sin(11.5 * (p[1] - 0.12 * np.square(p[0]))))
    return mix(_plain(p, look), linear(look.trim), np.maximum(bands * (1 - collar), 0))


def _hoodie_colours(p: Points, look: Look) -> Array:
    q = (np.abs(p[0]), p[1], p[2])
    cords = smoothstep(0.02, 0.0, rod(q, (0.22, -2.35, 0.30), (0.26, -3.05, 0.48), 0.032, 0.032))
    return mix(_plain(p, look), linear(look.trim), cords)


def _shirt_colours(p: Points, look: Look) -> Array:
    dots = smoothstep(0.05, 0.03, np.hypot(p[0] % 0.24 - 0.12, p[1] % 0.24 - 0.12))
    button = sum(bump(np.hypot(p[0], p[1] + at), 0.035) for at in (3.0, 3.35))
    return mix(mix(_plain(p, look), linear(look.trim), 0.85 * dots), linear(look.trim), np.clip(button * 1.4, 0, 1))


GARMENTS = {
    "sweater": Garment(_sweater, _sweater_colours),
    "stripes": Garment(_sweater, _striped),
    "turtleneck": Garment(_turtleneck, _plain),
    "hoodie": Garment(_hoodie, _hoodie_colours),
    "shirt": Garment(_shirt, _shirt_colours),
}
