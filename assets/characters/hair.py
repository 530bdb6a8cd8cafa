"""Hair styles, and what is worn in their place."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from head import linear, mix
from look import Look
from shapes import Array, Points, ball, bump, carve, ellipsoid, join, ring, rod, smoothstep


@dataclass(frozen=True)
class Style:
    """A distance function and a painter, of points in the frames of the head and of the body."""

    shape: Callable[[Points, Points, Look], Array]
    colours: Callable[[Points, Points, Look], Array]


def _groove(c: Array) -> Array:
    """Strands across the coordinate `c`: -1 to 1."""
    return 0.5 * np.sin(c + 1.7 * np.sin(0.37 * c)) + 0.3 * np.sin(2.3 * c + 1) + 0.2 * np.sin(5.1 * c)


def _cap(p: Points, grow: float = 0.0, low: float = 0.0) -> Array:
    """Hair close to the skull with an oval opening for the face."""
    shell = ellipsoid(p, (0, 0.44, -0.28), (1.06 + grow, 1.16 + grow, 1.17 + grow))
    face = ellipsoid(p, (0, -0.45 - low, 1.0), (0.86, 1.24, 1.0))
    lower = ellipsoid(p, (0, -1.6, 0.55), (1.5, 1.45, 0.75))
    return carve(carve(shell, face, 0.12), lower, 0.1)


def _short(h: Points, _: Points, look: Look) -> Array:
    """Short hair, parted on one side, swept over the forehead."""
    sides = _cap(h, -0.02)
    sweep = join(
        rod(h, (-0.50, 0.98, 0.56), (0.20, 1.22, 0.52), 0.24, 0.34),
        rod(h, (0.15, 1.22, 0.52), (0.78, 0.86, 0.36), 0.34, 0.24),
        0.2,
    )
    sweep = join(sweep, ellipsoid(h, (0.05, 1.12, -0.1), (0.85, 0.58, 0.85)), 0.2)
    grooves = _groove(26 * (h[1] * 0.9 + h[2] * 0.8 - 0.45 * h[0] * h[0] - 0.2 * h[0]))
    return join(sides, sweep, 0.12) + 0.022 * grooves


def _bowl(h: Points, _: Points, look: Look) -> Array:
    """A round cut with a fringe."""
    shell = ellipsoid(h, (0, 0.42, -0.22), (1.14, 1.24, 1.24))
    face = ellipsoid(h, (0, -0.55, 1.05), (0.92, 1.36, 1.1))
    cut = np.maximum(shell, -0.42 - h[1] + 0.1 * h[2])
    grooves = _groove(20 * np.arctan2(h[0], h[2] + 0.9))
    edge = 0.05 * np.sin(15 * h[0] + np.sin(9 * h[0]))
    return carve(cut, face + edge, 0.06) + 0.020 * grooves


def _afro(h: Points, _: Points, look: Look) -> Array:
    """A round cloud of curls."""
    cloud = ellipsoid(h, (0, 0.62, -0.42), (1.50, 1.42, 1.15))
    cloud = join(cloud, ellipsoid(h, (0, 0.98, 0.05), (1.0, 0.66, 0.85)), 0.3)
    face = ellipsoid(h, (0, -0.50, 1.0), (0.92, 1.26, 1.15))
    curls = (
        np.sin(17 * h[0] + 2 * np.sin(9 * h[1]))
        * np.sin(17 * h[1] + 2 * np.sin(8 * h[2]))
        * np.sin(16 * h[2] + 2 * h[0])
    )
    small = np.sin(37 * h[0] + 1) * np.sin(35 * h[1]) * np.sin(36 * h[2])
    return (carve(cloud, face, 0.16) + 0.055 * curls + 0.022 * small) * np.float32(0.75)


def _puffs(h: Points, _: Points, look: Look) -> Array:
    """Hair tied into two puffs."""
    q = (np.abs(h[0]), h[1], h[2])
    cap = (
        _cap(h, 0.0)
        + 0.014 * _groove(26 * (np.abs(h[0]) + 0.8 * h[2]))
        + 0.03 * bump(h[0], 0.03) * smoothstep(0.6, 0.9, h[1])
    )
    puff = ball(q, (1.08, 1.08, -0.15), 0.50)
    curls = np.sin(15 * h[0] + 2 * np.sin(8 * h[1])) * np.sin(15 * h[1] + 2 * np.sin(7 * h[2])) * np.sin(15 * h[2])
    tie = _ties(q)
    return np.minimum(join(cap, (puff + 0.06 * curls) * 0.8, 0.05), tie)


def _ties(q: Points) -> Array:
    return ball(q, (0.80, 0.86, 0.02), 0.17)


def _bun(h: Points, _: Points, look: Look) -> Array:
    """Hair combed back into a bun on the crown."""
    cap = _cap(h, 0.02)
    cap = cap + 0.022 * _groove(22 * np.arctan2(h[0] - 0.0, np.abs(h[1] + 0.6) + 0.35 * h[2] + 0.3))
    knot = ellipsoid(h, (0.0, 1.72, -0.25), (0.50, 0.42, 0.45))
    knot = knot + 0.024 * _groove(20 * (h[1] + 0.35 * h[0] + 0.4 * h[2]))
    return join(cap, knot, 0.08)


def _waves(h: Points, _: Points, look: Look) -> Array:
    """Shoulder-long wavy hair, parted on one side."""
    x = h[0] + 0.06 * np.sin(6.5 * h[1]) * np.sign(h[0])
    q = (np.abs(x), h[1], h[2])
    cap = _cap(h, 0.06)
    fringe = join(
        rod(h, (-0.34, 1.20, 0.50), (0.40, 1.02, 0.62), 0.22, 0.22),
        rod(h, (0.40, 1.02, 0.62), (1.00, 0.10, 0.10), 0.22, 0.20),
        0.25,
    )
    fringe = join(fringe, rod(h, (-0.34, 1.20, 0.50), (-1.00, 0.20, 0.10), 0.22, 0.20), 0.25)
    curtain = rod(q, (1.05, 0.5, 0.0), (1.14, -1.30, 0.0), 0.26, 0.36)
    ends = ball(q, (1.06, -1.42, 0.08), 0.34)
    back = ellipsoid(h, (0, -0.5, -0.8), (1.15, 1.4, 0.5))
    hair = join(join(join(join(cap, fringe, 0.2), curtain, 0.3), ends, 0.15), back, 0.2)
    flow = np.arctan2(x + 0.3 * smoothstep(0.6, 1.3, h[1]), h[2] + 0.75)
    return hair + 0.022 * _groove(24 * flow + 1.5 * np.sin(4 * h[1]))


def _bald(h: Points, _: Points, look: Look) -> Array:
    """A ring of short hair at the sides."""
    shell = ellipsoid(h, (0, 0.36, -0.36), (1.04, 1.1, 1.12))
    band = np.maximum(np.abs(h[1] - 0.14) - 0.42, h[2] - 0.05 + 0.3 * h[1])
    ring_ = carve(shell, -band, 0.12)
    return ring_ + 0.016 * _groove(30 * (h[1] + h[2]))


def _scarf(h: Points, p: Points, look: Look) -> Array:
    """A head scarf that leaves the face free."""
    shell = ellipsoid(h, (0, 0.30, -0.25), (1.15, 1.30, 1.22))
    shell = join(shell, ellipsoid(h, (0, -0.80, -0.20), (0.98, 1.05, 0.85)), 0.3)
    face = ellipsoid(h, (0, -0.38, 0.95), (0.80, 1.17, 1.0))
    band = ellipsoid(h, (0, -0.38, 0.95), (0.90, 1.27, 1.0))
    folds = 0.022 * np.sin(15 * np.hypot(h[0], h[1] + 0.3) + 3 * h[1] + 1.2 * h[0])
    cover = carve(shell + folds * smoothstep(-0.1, 0.3, band), face, 0.09)
    drape = join(
        ring(p, (0, -1.86, -0.32), (0.80, 0.70), 0.30, 0.34),
        ring(p, (0.1, -2.15, -0.30), (1.0, 0.74), 0.26, 0.45),
        0.12,
    )
    wrap = 0.030 * np.sin(11 * (p[1] + 0.45 * p[0] + 0.2 * np.sin(3 * p[0])))
    return join(cover, drape + wrap, 0.14)


def _strands(h: Points, _: Points, look: Look) -> Array:
    c = 30 * (np.abs(h[0]) + 0.8 * h[2] + 0.5 * h[1])
    tone = 1 + 0.16 * _groove(c) + 0.10 * np.sin(2.1 * h[1] + 2 * h[0])
    shine = 0.30 * bump(h[1] - 0.95 + 0.25 * h[0] * h[0], 0.16)
    return np.clip(linear(look.hair)[None] * (tone + shine)[:, None], 0, 1)


def _tied(h: Points, p: Points, look: Look) -> Array:
    tie = smoothstep(0.02, 0.0, _ties((np.abs(h[0]), h[1], h[2])))
    return mix(_strands(h, p, look), linear(look.trim), tie)


def _cloth(h: Points, p: Points, look: Look) -> Array:
    return np.repeat(linear(look.trim)[None], len(h[0]), axis=0)


STYLES = {
    "short": Style(_short, _strands),
    "bowl": Style(_bowl, _strands),
    "afro": Style(_afro, _strands),
    "puffs": Style(_puffs, _tied),
    "bun": Style(_bun, _strands),
    "waves": Style(_waves, _strands),
    "bald": Style(_bald, _strands),
    "scarf": Style(_scarf, _cloth),
}
