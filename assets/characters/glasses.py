"""Spectacles."""

import numpy as np
from look import Look
from shapes import Array, Points, rod


def glasses(p: Points, look: Look) -> Array:
    """Distance to the frames; far away without any."""
    if not look.glasses:
        return np.full(p[0].shape, 9, np.float32)
    q = (np.abs(p[0]), p[1], p[2])
    x, y = q[0] - 0.44, q[1] + 0.03
    plane = q[2] - (0.98 - 0.30 * np.square(q[0]))
    if look.glasses == "round":
        outline = np.hypot(x, y) - 0.37
    else:
        corner = 0.14
        ax, ay = np.abs(x) - (0.37 - corner), np.abs(y + 0.015) - (0.29 - corner)
        outline = np.hypot(np.maximum(ax, 0), np.maximum(ay, 0)) + np.minimum(np.maximum(ax, ay), 0) - corner
    rims = np.hypot(outline, plane) - 0.024
    bridge = rod(q, (0.0, 0.07, 1.0), (0.10, 0.04, 0.98), 0.022, 0.022)
    arms = rod(q, (0.80, 0.05, 0.78), (1.06, 0.05, -0.1), 0.024, 0.024)
    return np.minimum(np.minimum(rims, bridge), arms) * np.float32(0.9)
