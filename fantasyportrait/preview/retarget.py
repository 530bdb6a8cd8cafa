"""Retargeting: the driver's motion becomes positions of the portrait's points.

Expression: the driver's points of a frame, with the head's rotation, scale and place taken out, minus the neutral
face. It is turned into the portrait's frame and scaled by the ratio of the faces' width and height. Head: the
driver's rotation since the neutral frame, in the portrait's own axes, softly limited.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.geometry import SimilarityTransform, estimate_similarity, euler_angles, rotation_matrix
from fantasyportrait.faces.mesh import LIP_PAIRS, RIGID, CanonicalFace, lip_opening, neck_of
from fantasyportrait.motion.neutral import close_mouth
from fantasyportrait.preview.eyelids import EyelidDriver
from fantasyportrait.preview.region_weights import RegionWeights
from fantasyportrait.preview.rig import Rig
from fantasyportrait.schema.face_motion import FaceMotion
from fantasyportrait.schema.regions import Regions

# Beyond these the photo has no pixels to show: pitch, yaw, roll in degrees, shift in face heights, log of scale.
_LIMITS = np.array([16.0, 24.0, 26.0])
_SHIFT_LIMIT, _ABSOLUTE_SHIFT_LIMIT = 0.14, 0.3
_ABSOLUTE_REACH = 1.2
_SCALE_LIMIT = 0.16
# A crooked mouth changes the measured head pose by up to 3 degrees and shifts it a little. Hair and neck do not follow
# turns (degrees) and shifts (face heights) below these.
_UNSURE_TURN, _UNSURE_SHIFT = 2.5, 0.008
# The upper head, which does not move with the jaw and the mouth.
_CROWN = np.array([10, 67, 297, 54, 284, 127, 356])


@dataclass(frozen=True)
class Pose:
    """The portrait's points in one frame, in pixels of the photo.

    Attributes:
        landmarks: float64 (478, 3).
        outline: float64 (48, 3), rings: float64 (288, 3), as in `Rig`.
        head: the head's own movement since the photo.
    """

    landmarks: NDArray[np.float64]
    outline: NDArray[np.float64]
    rings: NDArray[np.float64]
    head: SimilarityTransform


class Retargeter:
    """Carries one motion to one rig. `pose(i)` may be called for frames in any order."""

    def __init__(
        self,
        rig: Rig,
        motion: FaceMotion,
        canonical: CanonicalFace,
        *,
        strength: float = 1.0,
        regions: Regions | None = None,
        absolute: bool = False,
    ) -> None:
        self._rig, self._motion = rig, motion
        self._strength = strength
        self._regions = regions or Regions()
        self._absolute = absolute
        self._driver = estimate_similarity(canonical.points[RIGID], motion.neutral[RIGID])
        self._ratio = _size(rig.landmarks, rig.head.rotation) / _size(motion.neutral, self._driver.rotation)
        self._turn = rig.head.rotation @ self._driver.rotation.T
        self._weights = RegionWeights.of(canonical).gain(self._regions)
        self._start = rig.landmarks
        if self._regions.mouth and not absolute and motion.measured:
            self._start = _lips_together(rig.landmarks, canonical, strength)
        self._lids = EyelidDriver(rig.landmarks, motion)
        self._limits = (
            _LIMITS
            * (_ABSOLUTE_REACH if absolute else 1.0)
            * (1 - 0.6 * np.clip((abs(_yaw(rig.head.rotation)) - 25) / 35, 0, 1))
        )

    def pose(self, frame: int) -> Pose:
        """The portrait in frame `frame` of the motion."""
        rig = self._rig
        points = self._motion.landmarks[frame].astype(np.float64)
        fit = estimate_similarity(points[RIGID], self._motion.neutral[RIGID])
        moved = self._start + self._expression(fit.apply(points))
        moved = _shut_lips(moved, rig.head.rotation)
        if self._regions.eyes:
            moved = self._lids.close(moved, frame, self._strength)
        head = self._head(fit)
        outline = rig.on_outline(moved)
        stretch = np.tile(outline - rig.outline, (len(rig.rings) // len(outline), 1))
        rings = rig.rings + rig.expression_share[:, None] * stretch
        carried = rings + rig.follow[:, None] * (self._steadied(head).apply(rings) - rings)
        return Pose(head.apply(moved), head.apply(outline), carried, head)

    def _expression(self, levelled: NDArray[np.float64]) -> NDArray[np.float64]:
        """Displacement (478, 3) in the photo's frame, of the driver's points laid onto its neutral face."""
        offset = (levelled - self._motion.neutral) @ self._driver.rotation
        turned = (offset * self._ratio) @ self._rig.head.rotation.T
        return np.asarray(turned * self._weights[:, None] * self._strength)

    def _head(self, fit: SimilarityTransform) -> SimilarityTransform:
        """The head's movement: rotation and scale about the pivot, and a shift, all softly limited."""
        if not self._regions.head:
            return SimilarityTransform(1.0, np.eye(3), np.zeros(3))
        rig, limits = self._rig, self._limits
        since = fit.rotation.T
        if self._absolute:
            local = since @ self._driver.rotation @ rig.head.rotation.T
        else:
            local = self._turn @ since @ self._turn.T
        angles = _soft(euler_angles(local) * self._strength, limits)
        rotation = rotation_matrix(*angles)
        scale = float(np.exp(_soft(np.log(1 / fit.scale) * self._strength, _SCALE_LIMIT)))
        shift = self._shift(fit) * self._strength
        shift = _soft(shift, _ABSOLUTE_SHIFT_LIMIT if self._absolute else _SHIFT_LIMIT) * rig.axes.height
        shift[2] = 0
        return SimilarityTransform(scale, rotation, rig.pivot + shift - scale * rotation @ rig.pivot)

    def _steadied(self, head: SimilarityTransform) -> SimilarityTransform:
        """The head's movement for hair and neck: small turns are damped, and the shift is that of the upper head.

        A built-in motion has no measurement error, so all of it is used.
        """
        if not self._motion.measured:
            return head
        angles = euler_angles(head.rotation)
        rotation = rotation_matrix(*(angles**3 / (angles**2 + _UNSURE_TURN**2)))
        crown = self._rig.landmarks[_CROWN].mean(axis=0)
        shift = head.apply(crown) - crown
        length = float(shift @ shift) / self._rig.axes.height**2
        shift = shift * (length / (length + _UNSURE_SHIFT**2))
        return SimilarityTransform(head.scale, rotation, crown + shift - head.scale * rotation @ crown)

    def _shift(self, fit: SimilarityTransform) -> NDArray[np.float64]:
        """Return the driver's neck movement in face heights; a rotation about the neck is no shift."""
        neutral = self._motion.neutral
        neck = neck_of(neutral, self._driver.rotation)
        # `fit` lays the frame onto the neutral face; its inverse carries the neutral neck to where it is now.
        now = (neck - fit.shift) @ fit.rotation / fit.scale
        return np.asarray((now - neck) / np.linalg.norm(neutral[152] - neutral[10]))


def _lips_together(landmarks: NDArray[np.float64], canonical: CanonicalFace, strength: float) -> NDArray[np.float64]:
    """The portrait with parted lips closed, as the driver's are in its neutral frame, so that speech can close them.

    A mouth that laughs in the photo stays open: shutting it would take the laugh away.
    """
    shut, _ = close_mouth(landmarks, canonical)
    share = np.clip((0.4 - lip_opening(landmarks)) / 0.15, 0, 1) * min(strength, 1.0)
    return np.asarray(landmarks + share * (shut - landmarks))


def _shut_lips(points: NDArray[np.float64], rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points (478, 3) whose inner lips meet where they would pass through each other."""
    upper, lower = LIP_PAIRS.T
    down = rotation[:, 1]
    crossing = np.minimum((points[lower] - points[upper]) @ down, 0)
    points = points.copy()
    points[upper] += 0.5 * crossing[:, None] * down
    points[lower] -= 0.5 * crossing[:, None] * down
    return points


def _size(points: NDArray[np.float64] | NDArray[np.float32], rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    """(width, height, mean of both) of a face in its own frame, without the jaw, which opens."""
    own = points.astype(np.float64) @ rotation
    width = abs(own[454, 0] - own[234, 0])
    height = abs(own[2, 1] - own[10, 1])
    return np.array([width, height, (width + height) / 2])


def _soft(value: NDArray[np.float64], limit: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Limit `value` softly: small values are unchanged, none exceeds `limit`."""
    return np.asarray(limit * np.tanh(value / limit))


def _yaw(rotation: NDArray[np.float64]) -> float:
    return float(euler_angles(rotation)[1])
