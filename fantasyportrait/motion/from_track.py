"""track -> motion: smoothing, mirroring, and the frame that motion is measured from."""

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.geometry import estimate_similarity, euler_angles
from fantasyportrait.faces.mesh import RIGID, CanonicalFace, lip_opening, mirrored_blendshapes, mirrored_points
from fantasyportrait.motion.neutral import relax_smile, without_expression
from fantasyportrait.motion.smoothing import smooth_landmarks
from fantasyportrait.schema.face import Face, Track
from fantasyportrait.schema.face_motion import FaceMotion

# Blendshapes that a resting face does not show: brows, blinks, squint, jaw, funnel, pucker, smile, stretch.
_EXPRESSIVE = np.array([1, 2, 3, 4, 5, 9, 10, 19, 20, 21, 22, 25, 32, 38, 44, 45, 46, 47])

# A shut mouth matters most: what is open in the neutral frame can never be opened on the portrait.
_OPEN_MOUTH_COST = 8.0


def motion_from_track(
    track: Track,
    canonical: CanonicalFace,
    *,
    smoothing: float = 0.5,
    mirror: bool = False,
    reference: Face | None = None,
) -> FaceMotion:
    """The motion of a tracked person.

    Args:
        track: the person's rows.
        canonical: the mean face; head turns are measured against it.
        smoothing: 0 to 1.
        mirror: swap left and right.
        reference: measure motion from the frame that looks most like this face (absolute motion) instead of from
            the person's most neutral frame (relative motion).

    A track of one row, such as a picture's, has no other frame to be measured from: its motion is the expression
    itself, from the same face at rest.
    """
    landmarks = smooth_landmarks(track.landmarks, smoothing)
    blendshapes, mouths = track.blendshapes, track.mouths
    if mirror:
        landmarks = mirrored_points(landmarks, track.size[0], canonical.mirror)
        blendshapes = mirrored_blendshapes(blendshapes)
        mouths = None if mouths is None else mouths[:, :, ::-1]
    if len(landmarks) == 1:
        still = without_expression(landmarks[0], blendshapes[0], canonical)
        return FaceMotion(*still, landmarks, blendshapes, mouths, measured=True)
    if reference is None:
        cost = expressiveness(landmarks, blendshapes, canonical)
    else:
        likeness = np.abs(blendshapes - reference.blendshapes).sum(axis=1)
        cost = likeness + np.abs(_turns(landmarks, canonical) - np.array(reference.pose)).sum(axis=1) / 30
    rest = int(np.argmin(np.where(track.valid, cost, np.inf)))
    neutral, scores = landmarks[rest], blendshapes[rest]
    if reference is None:
        neutral, scores = relax_smile(neutral, scores, canonical)
    return FaceMotion(neutral, scores, landmarks, blendshapes, mouths, track.mouth_indices, measured=True)


def neutral_frame(track: Track, canonical: CanonicalFace) -> int:
    """The row in which the person looks most neutral: from where relative motion is measured."""
    cost = expressiveness(track.landmarks, track.blendshapes, canonical)
    return int(np.argmin(np.where(track.valid, cost, np.inf)))


def expressiveness(
    landmarks: NDArray[np.float32], blendshapes: NDArray[np.float32], canonical: CanonicalFace
) -> NDArray[np.float64]:
    """Distance of each row (T,) from a shut, frontal, resting face."""
    cost = blendshapes[:, _EXPRESSIVE].sum(axis=1) + np.abs(_turns(landmarks, canonical)).sum(axis=1) / 30
    return np.asarray(cost + _OPEN_MOUTH_COST * lip_opening(landmarks[..., :2]), np.float64)


def _turns(landmarks: NDArray[np.float32], canonical: CanonicalFace) -> NDArray[np.float64]:
    """(pitch, yaw, roll) in degrees (T, 3) of each row."""
    rigid = canonical.points[RIGID]
    return np.array([euler_angles(estimate_similarity(rigid, row[RIGID]).rotation) for row in landmarks])
