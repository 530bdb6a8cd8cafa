"""The neutral face that motion is measured from: the driver's calmest frame, with its remaining expression removed.

A driver who laughs through a whole clip has no neutral frame. Relative to a laughing one, the portrait would only
show how the laugh varies; so the mouth of that frame is shut and its smile relaxed by the built-in shapes.
"""

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.geometry import estimate_similarity
from fantasyportrait.faces.mesh import LIP_PAIRS, RIGID, CanonicalFace
from fantasyportrait.motion.blendshapes import blendshape_basis, blendshape_indices

_JAW_OPEN, _SMILE_LEFT, _SMILE_RIGHT = 25, 44, 45
# A resting face scores up to this much smile, and its lips part by up to this share of the mouth's width.
_RESTING_SMILE, _RESTING_GAP = 0.25, 0.06
# Expressions of a single picture besides a smile and an open jaw, and the scores that resting faces have too.
_EXPRESSED = tuple(
    row
    for name in (
        "browDown", "browInnerUp", "browOuterUp", "cheekPuff", "eyeWide", "mouthFrown", "mouthFunnel",
        "mouthLowerDown", "mouthPucker", "mouthStretch", "mouthUpperUp", "noseSneer",
    )
    for row in blendshape_indices(name)
)  # fmt: skip
_RESTING_SCORE, _FAINT_SMILE = 0.3, 0.1
_BLINKS, _RESTING_BLINK = blendshape_indices("eyeBlink"), 0.45


def relax_smile(
    points: NDArray[np.float32],
    scores: NDArray[np.float32],
    canonical: CanonicalFace,
    resting_smile: float = _RESTING_SMILE,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Landmarks (478, 3) and blendshapes (52,) of the same face without its smile and with its mouth shut.

    A smile score of `resting_smile` is left: some faces rest so.
    """
    basis = blendshape_basis(canonical)
    onto = estimate_similarity(canonical.points[RIGID], points[RIGID])
    calm, rest = points.astype(np.float64), scores.copy()
    for smile in (_SMILE_LEFT, _SMILE_RIGHT):
        amount = max(float(scores[smile]) - resting_smile, 0.0)
        calm = calm - amount * onto.scale * basis[smile] @ onto.rotation.T
        rest[smile] -= amount
    calm, opened = close_mouth(calm, canonical)
    rest[_JAW_OPEN] = max(float(rest[_JAW_OPEN]) - opened, 0.0)
    return calm.astype(np.float32), rest


def without_expression(
    points: NDArray[np.float32], scores: NDArray[np.float32], canonical: CanonicalFace
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Landmarks (478, 3) and blendshapes (52,) of the same face without any expression; its gaze and pose stay.

    For a single picture, in which there is no calmer frame to measure from.
    """
    basis = blendshape_basis(canonical)
    onto = estimate_similarity(canonical.points[RIGID], points[RIGID])
    calm, rest = points.astype(np.float64), scores.copy()
    for row in (*_EXPRESSED, *_BLINKS):
        amount = max(float(scores[row]) - (_RESTING_BLINK if row in _BLINKS else _RESTING_SCORE), 0.0)
        calm = calm - amount * onto.scale * basis[row] @ onto.rotation.T
        rest[row] -= amount
    return relax_smile(calm.astype(np.float32), rest, canonical, _FAINT_SMILE)


def close_mouth(points: NDArray[np.float64], canonical: CanonicalFace) -> tuple[NDArray[np.float64], float]:
    """Landmarks (478, 3) with the jaw closed as far as the lips were parted, and how far it was open (0 to 1)."""
    onto = estimate_similarity(canonical.points[RIGID], points[RIGID])
    width = float(np.linalg.norm(points[308] - points[78]))
    parted = _gap(points, onto.rotation[:, 1]) - 0.5 * _RESTING_GAP * width
    if parted < 0.5 * _RESTING_GAP * width:
        return points, 0.0
    jaw = onto.scale * blendshape_basis(canonical)[_JAW_OPEN] @ onto.rotation.T
    opened = parted / max(_gap(jaw, onto.rotation[:, 1]), 1e-6)
    return points - opened * jaw, float(opened)


def _gap(points: NDArray[np.float64], down: NDArray[np.float64]) -> float:
    """Mean distance of the inner lips along `down` (3,), of points or displacements (478, 3)."""
    return float(((points[LIP_PAIRS[:, 1]] - points[LIP_PAIRS[:, 0]]) @ down).mean())
