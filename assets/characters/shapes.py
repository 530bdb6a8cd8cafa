"""Signed distance functions: a shape is a function of points that is negative inside and positive outside.

Points are three float32 arrays (x, y, z) of one shape: x to the right, y up, z to the viewer.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Points = tuple[Array, Array, Array]
Vector = tuple[float, float, float]


def smoothstep(low: float, high: float, value: Array) -> Array:
    """0 under `low`, 1 over `high`, eased between; falls instead when `high` < `low`."""
    share = np.clip((value - np.float32(low)) / np.float32(high - low), 0, 1)
    return share * share * (3 - 2 * share)


def bump(value: Array, width: float) -> Array:
    """A bell of height 1 at 0."""
    return np.exp(-np.square(value / np.float32(width)))


def length(x: Array, y: Array, z: Array) -> Array:
    """Length of the vectors."""
    return np.sqrt(x * x + y * y + z * z)


def ball(p: Points, centre: Vector, radius: float) -> Array:
    """A sphere."""
    return length(p[0] - centre[0], p[1] - centre[1], p[2] - centre[2]) - radius


def ellipsoid(p: Points, centre: Vector, radii: Vector) -> Array:
    """An ellipsoid (the distance is a bound near the surface)."""
    x, y, z = ((p[k] - centre[k]) / radii[k] for k in range(3))
    inner = length(x, y, z)
    slope = np.maximum(length(x / radii[0], y / radii[1], z / radii[2]), 1e-6)
    return inner * (inner - 1) / slope


def rod(p: Points, start: Vector, end: Vector, first: float, last: float) -> Array:
    """A rod with round ends; its radius goes from `first` to `last`."""
    axis = [end[k] - start[k] for k in range(3)]
    x, y, z = (p[k] - start[k] for k in range(3))
    share = np.clip((x * axis[0] + y * axis[1] + z * axis[2]) / sum(a * a for a in axis), 0, 1)
    return length(x - share * axis[0], y - share * axis[1], z - share * axis[2]) - (first + (last - first) * share)


def ring(p: Points, centre: Vector, radii: tuple[float, float], thickness: float, tilt: float = 0.0) -> Array:
    """A ring around the y axis with half widths `radii` (x, z); `tilt` lowers its front."""
    x, z = p[0] - centre[0], p[2] - centre[2]
    y = p[1] - centre[1] + tilt * z
    around = np.sqrt(np.square(x / radii[0]) + np.square(z / radii[1]))
    return np.hypot((around - 1) * min(radii), y) - thickness


def join(first: Array, second: Array, k: float) -> Array:
    """Union with a soft seam of width `k`."""
    overlap = np.maximum(k - np.abs(first - second), 0)
    return np.minimum(first, second) - overlap * overlap / np.float32(4 * k)


def carve(shape: Array, tool: Array, k: float) -> Array:
    """`shape` without `tool`, with a soft edge of width `k`."""
    return -join(-shape, tool, k)


def rotated(p: Points, yaw: float, pitch: float, roll: float) -> Points:
    """Points in the frame of a head that is turned by these degrees (to the image's right, down, clockwise)."""
    x, y, z = p
    for angle, axes in ((roll, "xy"), (yaw, "zx"), (pitch, "yz")):
        c, s = np.float32(np.cos(np.radians(angle))), np.float32(np.sin(np.radians(angle)))
        if axes == "xy":
            x, y = c * x - s * y, s * x + c * y
        elif axes == "zx":
            z, x = c * z + s * x, -s * z + c * x
        else:
            y, z = c * y + s * z, -s * y + c * z
    return x, y, z
