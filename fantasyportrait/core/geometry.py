"""Boxes, similarities and rotations.

Axes are those of an image: x right, y down, z into the picture (right-handed), in pixels. Boxes are xyxy.
Angles are degrees: pitch about x, yaw about y, roll about z, composed as R = Rz(roll) Ry(yaw) Rx(pitch).
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]


class SimilarityTransform(NamedTuple):
    """x -> scale * rotation @ x + shift, in 2 or 3 dimensions."""

    scale: float
    rotation: NDArray[np.float64]
    shift: NDArray[np.float64]

    def apply(self, points: Array) -> NDArray[np.float64]:
        """Map points (..., D)."""
        return np.asarray(self.scale * points @ self.rotation.T + self.shift, np.float64)


def estimate_similarity(source: Array, target: Array, weights: Array | None = None) -> SimilarityTransform:
    """Least-squares similarity of `source` onto `target`, both (N, D) (Umeyama 1991), optionally weighted (N,)."""
    w = np.ones(len(source)) if weights is None else np.asarray(weights, np.float64)
    w = w / w.sum()
    source64, target64 = np.asarray(source, np.float64), np.asarray(target, np.float64)
    source_mean, target_mean = w @ source64, w @ target64
    centred_source, centred_target = source64 - source_mean, target64 - target_mean
    covariance = (centred_target * w[:, None]).T @ centred_source
    u, singular, vt = np.linalg.svd(covariance)
    signs = np.ones(len(singular))
    signs[-1] = np.sign(np.linalg.det(u) * np.linalg.det(vt)) or 1.0
    rotation = (u * signs) @ vt
    variance = float(w @ (centred_source**2).sum(axis=1))
    scale = float(singular @ signs) / max(variance, 1e-12)
    return SimilarityTransform(scale, rotation, target_mean - scale * rotation @ source_mean)


def rotation_matrix(pitch: float, yaw: float, roll: float) -> NDArray[np.float64]:
    """Rotation (3, 3) from angles in degrees."""
    cx, cy, cz = np.cos(np.radians([pitch, yaw, roll]))
    sx, sy, sz = np.sin(np.radians([pitch, yaw, roll]))
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return np.asarray(about_z @ about_y @ about_x)


def euler_angles(rotation: Array) -> NDArray[np.float64]:
    """(pitch, yaw, roll) in degrees of a rotation (3, 3): the inverse of `rotation_matrix` for |yaw| < 90."""
    yaw = np.arcsin(np.clip(-rotation[2, 0], -1.0, 1.0))
    pitch = np.arctan2(rotation[2, 1], rotation[2, 2])
    roll = np.arctan2(rotation[1, 0], rotation[0, 0])
    return np.asarray(np.degrees([pitch, yaw, roll]))


def bounding_box(points: Array) -> NDArray[np.float32]:
    """Smallest xyxy box (4,) around points (N, >=2)."""
    xy = np.asarray(points)[:, :2]
    return np.concatenate([xy.min(axis=0), xy.max(axis=0)]).astype(np.float32)


def box_iou(a: Array, b: Array) -> float:
    """Intersection over union of two xyxy boxes."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = float(width * height)
    total = float((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])) - shared
    return shared / total
