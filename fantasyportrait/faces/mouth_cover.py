"""Whether something of another colour, or of one colour, covers the mouth of a face in a photo.

Two measures in CIELAB, of medians over parts of the mesh, so that they need no further model:

- the chroma of both lower cheeks differs from that of the forehead (a mask): 2 to 9 in 27 uncovered faces of photos and
  clips, 23 under a blue mask;
- lips and chin have the same colour (one thing lies over both): the distance is 3 and more in the same faces, of which
  the least is a statue's, and 0 under a mask and under a hand of one colour.

A hand with strong shadows, a microphone beside the lips or a mask of skin colour with a printed mouth is not noticed.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.geometry import bounding_box
from fantasyportrait.faces.mesh import INNER_LIPS, OUTER_LIPS

# fmt: off
_CHIN = (61, 84, 17, 314, 291, 379, 400, 152, 176, 150)
_CHEEKS = ((117, 118, 101, 36, 205, 187, 123), (346, 347, 330, 266, 425, 411, 352))
_FOREHEAD = (109, 10, 338, 337, 9, 108)
# fmt: on
_OTHER_CHROMA = 15.0
_SAME_COLOUR = 2.0
_LEAST_PIXELS = 10
# The face is measured at this height in pixels: finer, grain counts; coarser, lips and chin mix.
_HEIGHT = 160


def mouth_is_covered(pixels: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> bool:
    """Whether the mouth of a face seems covered; landmarks (478, 3) in pixels of the RGB photo (H, W, 3).

    False where lips, chin, cheeks or forehead lie outside of the photo, which leaves nothing to compare.
    """
    patch, points = _face_patch(pixels, landmarks[:, :2])
    if patch.size == 0:
        return False
    lab = cv2.cvtColor(patch.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    outer, inner = _filled(patch, points[OUTER_LIPS]), _filled(patch, points[INNER_LIPS])
    parts = (
        outer & ~inner,
        _filled(patch, points[list(_CHIN)]) & ~outer,
        _filled(patch, points[list(_CHEEKS[0])]) | _filled(patch, points[list(_CHEEKS[1])]),
        _filled(patch, points[list(_FOREHEAD)]),
    )
    if any(part.sum() < _LEAST_PIXELS for part in parts):
        return False
    lips, chin, cheeks, forehead = (np.median(lab[part], axis=0) for part in parts)
    masked = float(np.linalg.norm((cheeks - forehead)[1:])) > _OTHER_CHROMA
    return masked or float(np.linalg.norm(lips - chin)) < _SAME_COLOUR


def _face_patch(
    pixels: NDArray[np.uint8], points: NDArray[np.float32]
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """The face cut out of the photo, at most `_HEIGHT` high, and the points (478, 2) in its pixels."""
    box = bounding_box(points)
    low = np.maximum(np.floor(box[:2]), 0).astype(int)
    high = np.minimum(np.ceil(box[2:]), pixels.shape[1::-1]).astype(int)
    patch = pixels[low[1] : max(high[1], low[1]), low[0] : max(high[0], low[0])]
    scale = min(1.0, _HEIGHT / max(float(box[3] - box[1]), 1.0))
    if patch.size and scale < 1:
        size = max(1, round(patch.shape[1] * scale)), max(1, round(patch.shape[0] * scale))
        patch = np.asarray(cv2.resize(patch, size, interpolation=cv2.INTER_AREA), np.uint8)
    return patch, np.asarray((points - low) * scale, np.float32)


def _filled(patch: NDArray[np.uint8], polygon: NDArray[np.float32]) -> NDArray[np.bool_]:
    mask = np.zeros(patch.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round(polygon).astype(np.int32)], 1)
    return mask > 0
