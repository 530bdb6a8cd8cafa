"""A short part of a motion as a loop without a seam, and where a motion moves most."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.schema.face_motion import FaceMotion

# Parts with this share of the most movement are nearly equal; frames before and after a beginning that are to be calm.
_NEARLY, _AROUND = 0.9, 2


def seamless_loop(motion: FaceMotion, rows: NDArray[np.int64], lead_in: int) -> FaceMotion:
    """A motion of `len(rows) - lead_in` rows whose last row leads back to its first.

    `rows` int64 are rows of the motion in the order in which they play; the first `lead_in` come before the loop: its
    last `lead_in` rows fade into them. Raises ValueError for a loop shorter than its lead-in.
    """
    frames = len(rows) - lead_in
    if not 0 <= lead_in <= frames or frames < 1:
        raise ValueError(f"{len(rows)} rows with a lead-in of {lead_in} give no loop: give at least twice the lead-in")
    own = rows[lead_in:]
    before = np.concatenate([own[: frames - lead_in], rows[:lead_in]])
    ramp = np.arange(1, lead_in + 1) / (lead_in + 1)
    share = np.concatenate([np.zeros(frames - lead_in), ramp * ramp * (3 - 2 * ramp)]).astype(np.float32)
    shown = np.where(share < 0.5, own, before)
    return FaceMotion(
        neutral=motion.neutral,
        neutral_blendshapes=motion.neutral_blendshapes,
        landmarks=_mix(motion.landmarks, own, before, share[:, None, None]),
        blendshapes=_mix(motion.blendshapes, own, before, share[:, None]),
        mouths=motion.mouths,
        mouth_indices=None if motion.mouths is None else _mouth_indices(motion)[shown],
    )


def movement(motion: FaceMotion, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """How far the landmarks move from each of the `rows` to the next, in face heights: float64 (len(rows) - 1,).

    The root mean square, so that a blink counts for more than the sway of the head.
    """
    height = float(np.linalg.norm(motion.neutral[152] - motion.neutral[10]))
    points = motion.landmarks[rows, :, :2].astype(np.float64)
    squares = np.square(np.diff(points, axis=0)).sum(axis=2)
    return np.asarray(np.sqrt(squares.mean(axis=1)) / max(height, 1e-6))


def liveliest_start(movements: Sequence[NDArray[np.float64]], frames: int, lead_in: int) -> int:
    """The frame, `lead_in` or later, at which a loop of `frames` frames begins in which the faces move most.

    `movements` has an array (T,) for each face, see `movement`, of the same T + 1 frames. What the loop's end fades out
    does not count, and of nearly equal parts the one with the calmest beginning is taken, which is not in the middle of
    a blink. Returns `lead_in` where nothing moves. Raises ValueError where there is no such part.
    """
    total = np.sum(movements, axis=0) if movements else np.zeros(lead_in + frames - 1)
    last, span = len(total) + 1 - frames, frames - lead_in - 1
    if last < lead_in or span < 1:
        raise ValueError(
            f"{len(total) + 1} frames have no loop of {frames} after {lead_in}: give more frames, or a shorter lead-in"
        )
    sums = np.convolve(total, np.ones(span), mode="valid")[lead_in : last + 1]
    begins = np.arange(lead_in, last + 1)
    near = begins[sums >= _NEARLY * sums.max()]
    around = np.convolve(total, np.ones(2 * _AROUND), mode="full")[near + _AROUND - 1]
    return int(near[np.argmin(around)])


def _mix(
    values: NDArray[np.float32], own: NDArray[np.int64], other: NDArray[np.int64], share: NDArray[np.float32]
) -> NDArray[np.float32]:
    return np.asarray(values[own] + (values[other] - values[own]) * share, np.float32)


def _mouth_indices(motion: FaceMotion) -> NDArray[np.int64]:
    return np.arange(len(motion)) if motion.mouth_indices is None else motion.mouth_indices
