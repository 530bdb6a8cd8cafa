"""Eyelids: the opening of each eye of the driver, transferred to the portrait.

A lid's travel is a few pixels and faces' eyes differ in height, so displacements alone leave a slit. The opening is
carried over as a share instead: an eye that is half closed on the driver is half closed on the portrait.
"""

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.faces.mesh import LEFT_EYE, RIGHT_EYE
from fantasyportrait.schema.face_motion import FaceMotion

# Blink scores of an open eye reach 0.2; a closed one's 0.55 and more.
_OPEN_SCORE, _CLOSED_SCORE = 0.25, 0.6
# A lid that opens wider shows parts of the eye that are not in the photo.
_WIDEST = 1.25
# Where closed lids meet, between the upper (0) and the lower lid (1): the upper lid moves nearly the whole way.
_MEET = 0.85


class EyelidDriver:
    """The opening of both eyes through a motion, as a share of the neutral face's opening."""

    def __init__(self, landmarks: NDArray[np.float64], motion: FaceMotion) -> None:
        self._landmarks = landmarks
        self._eyes = []
        for ring, blink in ((RIGHT_EYE, 10), (LEFT_EYE, 9)):
            neutral = max(float(_opening(motion.neutral[None], ring)[0]), 1e-3)
            share = _opening(motion.landmarks, ring) / neutral
            score = motion.blendshapes[:, blink]
            # A neutral face with heavy lids must not read as closed.
            rest = min(float(motion.neutral_blendshapes[blink]), 0.4)
            closed = np.clip((score - rest - _OPEN_SCORE) / max(_CLOSED_SCORE - _OPEN_SCORE - rest / 2, 0.1), 0, 1)
            self._eyes.append((ring, np.clip(np.minimum(share, _WIDEST * (1 - closed)), 0, _WIDEST)))
        self._share_the_nearer_eye(motion.landmarks)

    def _share_the_nearer_eye(self, points: NDArray[np.float32]) -> None:
        """On a turned head the far eye is measured unreliably: both eyes follow the nearer one."""
        (right, right_share), (left, left_share) = self._eyes
        widths = [np.linalg.norm(np.diff(points[:, ring[[0, 8]], :2], axis=1)[:, 0], axis=1) for ring in (right, left)]
        lean = np.log(np.maximum(widths[0], 1e-6) / np.maximum(widths[1], 1e-6))
        turned = np.clip((np.abs(lean) - 0.15) / 0.3, 0, 1)
        nearer = np.where(lean > 0, right_share, left_share)
        self._eyes = [(ring, share + turned * (nearer - share)) for ring, share in self._eyes]

    def close(self, moved: NDArray[np.float64], frame: int, strength: float) -> NDArray[np.float64]:
        """`moved` points (478, 3) with the lids of both eyes at the driver's opening (times `strength`)."""
        moved = moved.copy()
        for ring, share in self._eyes:
            opening = float(np.clip(1 + (share[frame] - 1) * strength, 0, _WIDEST))
            upper, lower = ring[1:8], ring[15:8:-1]
            gap = self._landmarks[upper] - self._landmarks[lower]
            corners = (moved[ring[0]] + moved[ring[8]]) / 2
            rest = (self._landmarks[ring[0]] + self._landmarks[ring[8]]) / 2
            base = self._landmarks[lower] + (corners - rest)
            meet = base + (1 - _MEET) * gap
            moved[lower] = base + (1 - min(opening, 1.0)) * (meet - base)
            moved[upper] = moved[lower] + opening * gap
        return moved


def _opening(points: NDArray[np.float32], ring: NDArray[np.int64]) -> NDArray[np.float64]:
    """Height of the eye over its width (T,), of points (T, 478, 3)."""
    height = np.linalg.norm(points[:, ring[2:7]] - points[:, ring[14:9:-1]], axis=2).mean(axis=1)
    width = np.linalg.norm(points[:, ring[0]] - points[:, ring[8]], axis=1)
    return np.asarray(height / np.maximum(width, 1e-6), np.float64)
