"""The canonical face with an expression and a head pose: blendshapes and angles become landmarks."""

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.geometry import rotation_matrix
from fantasyportrait.faces.mesh import LID_PAIRS, LIP_PAIRS, CanonicalFace, neck_of
from fantasyportrait.motion.blendshapes import blendshape_basis

Floats = NDArray[np.float64]

CLOSED_SCORE = 0.7
"""Blink score that the blendshape net gives a closed eye, so that half closed is not read as closed."""


def posed_landmarks(
    weights: Floats,
    angles: Floats,
    canonical: CanonicalFace,
    shift: Floats | None = None,
    growth: Floats | None = None,
) -> NDArray[np.float32]:
    """Landmarks float32 (T, 478, 3) in cm: weighted shapes, lids and lips kept from crossing, then the head's pose.

    The head turns about its neck, see `faces.mesh.neck_of`.

    Args:
        weights: blendshapes (T, 52), 0 to 1.
        angles: pitch, yaw, roll (T, 3) in degrees.
        canonical: the mean face.
        shift: how far the head moves, cm (T, 3).
        growth: the head's scale (T,).
    """
    neutral = canonical.points.astype(np.float64)
    points = neutral + np.tensordot(weights, blendshape_basis(canonical), axes=1)
    _keep_apart(points, neutral, LID_PAIRS, 0.0)
    _keep_apart(points, neutral, LIP_PAIRS, 1.0)
    turns = np.stack([rotation_matrix(*each) for each in angles])
    if growth is not None:
        turns *= growth[:, None, None]
    neck = neck_of(neutral, np.eye(3))
    posed = (points - neck) @ turns.transpose(0, 2, 1) + neck
    if shift is not None:
        posed += shift[:, None]
    landmarks: NDArray[np.float32] = posed.astype(np.float32)
    return landmarks


def _keep_apart(points: Floats, neutral: Floats, pairs: NDArray[np.int64], least: float) -> None:
    """Part pairs (P, 2) of points in place to at least `least` of their neutral distance, measured along its line."""
    upper, lower = pairs.T
    line = neutral[lower] - neutral[upper]
    gap = ((points[:, lower] - points[:, upper]) * line).sum(axis=2) / (line**2).sum(axis=1)
    missing = np.maximum(0.0, least - gap)[..., None] * line / 2.0
    points[:, upper] -= missing
    points[:, lower] += missing
