"""The face at rest that motion is measured from: the driver's calmest frame, with what it still expresses taken out.

A driver who laughs through a whole clip has no neutral frame. Measured from a laughing one, the portrait would only
show how the laugh varies; so the mouth of that frame is shut and its smile relaxed by the built-in shapes.
"""

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.geometry import fit_similarity
from fantasyportrait.faces.mesh import LIP_PAIRS, RIGID, CanonicalFace
from fantasyportrait.motion.shapes import shape_basis

_JAW_OPEN, _SMILE_LEFT, _SMILE_RIGHT = 25, 44, 45
# A resting face scores up to this much smile, and its lips part by up to this share of the mouth's width.
_RESTING_SMILE, _RESTING_GAP = 0.25, 0.06


def relaxed(
    points: NDArray[np.float32], scores: NDArray[np.float32], canonical: CanonicalFace
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Landmarks (478, 3) and blendshapes (52,) of the same face without its smile and with its mouth shut."""
    basis = shape_basis(canonical)
    onto = fit_similarity(canonical.points[RIGID], points[RIGID])
    calm, rest = points.astype(np.float64), scores.copy()
    for smile in (_SMILE_LEFT, _SMILE_RIGHT):
        amount = max(float(scores[smile]) - _RESTING_SMILE, 0.0)
        calm = calm - amount * onto.scale * basis[smile] @ onto.rotation.T
        rest[smile] -= amount
    calm, opened = mouth_shut(calm, canonical)
    rest[_JAW_OPEN] = max(float(rest[_JAW_OPEN]) - opened, 0.0)
    return calm.astype(np.float32), rest


def mouth_shut(points: NDArray[np.float64], canonical: CanonicalFace) -> tuple[NDArray[np.float64], float]:
    """Landmarks (478, 3) with the jaw closed as far as the lips were parted, and how far it was open (0 to 1)."""
    onto = fit_similarity(canonical.points[RIGID], points[RIGID])
    width = float(np.linalg.norm(points[308] - points[78]))
    parted = _gap(points, onto.rotation[:, 1]) - 0.5 * _RESTING_GAP * width
    if parted < 0.5 * _RESTING_GAP * width:
        return points, 0.0
    jaw = onto.scale * shape_basis(canonical)[_JAW_OPEN] @ onto.rotation.T
    opened = parted / max(_gap(jaw, onto.rotation[:, 1]), 1e-6)
    return points - opened * jaw, float(opened)


def _gap(points: NDArray[np.float64], down: NDArray[np.float64]) -> float:
    """Mean distance of the inner lips along `down` (3,), of points or displacements (478, 3)."""
    return float(((points[LIP_PAIRS[:, 1]] - points[LIP_PAIRS[:, 0]]) @ down).mean())
