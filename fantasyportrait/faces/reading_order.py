"""The order in which the faces of a photo are numbered: row by row from the top, left to right within a row."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

# Faces are in one row while their centres lie within this share of their mean height. Two people who stand side by
# side differ by less; the rows of a group photo are at least a face apart.
_ROW = 0.75
# Heads lean by themselves too: the tilt of the camera is read from the leans of four and more that mostly agree.
_GROUP = 4
_ALIKE_DEGREES = 6.0
_MOST = 0.6
_TILTED_DEGREES = 20.0
# Less is within the error of the mean.
_LEVEL_DEGREES = 2.0


def reading_order(boxes: Sequence[NDArray[np.float32]], rolls: Sequence[float] = ()) -> list[int]:
    """Indices of xyxy boxes (4,) in reading order.

    `rolls` are the leans of the faces on the picture in degrees clockwise. Where most heads of a group lean by the same
    angle the camera was tilted, and the rows are read along that angle.

    The result does not depend on the order of the boxes (equal boxes aside). The height of a whole row is bounded, so
    a diagonal of faces is not taken for one row however close the steps are.
    """
    if not boxes:
        return []
    table = np.asarray(boxes, np.float64)
    x, y = (table[:, 0] + table[:, 2]) / 2, (table[:, 1] + table[:, 3]) / 2
    tilt = _camera_tilt(rolls)
    if tilt:
        x, y = x * np.cos(tilt) + y * np.sin(tilt), y * np.cos(tilt) - x * np.sin(tilt)
    height = table[:, 3] - table[:, 1]
    rows = [[int(index)] for index in np.lexsort((x, y))]
    # From the top down: the two neighbouring rows that fit best become one, until none fit.
    while len(rows) > 1:
        misfits = [_spread(first + second, y, height) for first, second in pairwise(rows)]
        best = int(np.argmin(misfits))
        if misfits[best] > _ROW:
            break
        rows[best : best + 2] = [rows[best] + rows[best + 1]]
    return [index for row in rows for index in sorted(row, key=lambda index: (x[index], y[index]))]


def _camera_tilt(rolls: Sequence[float]) -> float:
    """The angle in radians by which a group's picture is tilted; 0 for few faces, and where their leans differ."""
    if len(rolls) < _GROUP:
        return 0.0
    leans = np.asarray(rolls, np.float64)
    alike = leans[np.abs(leans - np.median(leans)) <= _ALIKE_DEGREES]
    tilt = float(alike.mean()) if len(alike) >= _MOST * len(leans) else 0.0
    return float(np.radians(tilt)) if _LEVEL_DEGREES <= abs(tilt) <= _TILTED_DEGREES else 0.0


def _spread(row: list[int], y: NDArray[np.float64], height: NDArray[np.float64]) -> float:
    """Vertical spread of the centres of a row, in mean heights of its faces."""
    return float(np.ptp(y[row]) / max(float(height[row].mean()), 1e-6))
