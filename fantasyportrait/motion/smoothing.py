"""One-Euro smoothing of landmarks, forwards and backwards, so that it has no lag."""

import numpy as np
from numpy.typing import NDArray


def smooth_landmarks(landmarks: NDArray[np.float32], strength: float) -> NDArray[np.float32]:
    """Landmarks (T, N, 3) without jitter; fast movement stays.

    The One-Euro filter (Casiez et al. 2012) with a cut-off that grows with speed, in face sizes a frame, so that
    the setting means the same for every clip. `strength` 0 leaves the landmarks as they are, 1 is strongest.
    """
    if strength <= 0 or len(landmarks) < 3:
        return landmarks
    size = float(np.median(np.ptp(landmarks[:, :, 0], axis=1))) or 1.0
    both = np.zeros(landmarks.shape, np.float64)
    for order in (range(len(landmarks)), range(len(landmarks) - 1, -1, -1)):
        _add_one_euro(both, landmarks, size, strength, order)
    both /= 2
    both *= size
    return both.astype(np.float32)


def _add_one_euro(
    total: NDArray[np.float64], landmarks: NDArray[np.float32], size: float, strength: float, order: range
) -> None:
    """Add the filtered landmarks, over `size`, to `total`; rows are visited in `order`."""
    # In cycles a frame: jitter of 0.2 % of a face is damped, a blink (5 % a frame) passes.
    slowest, gain, speed_cut = 0.5 * (1 - 0.8 * strength), 15.0, 0.25
    place = landmarks[order[0]].astype(np.float64) / size
    total[order[0]] += place
    speed = np.zeros(landmarks.shape[1])
    for row in order[1:]:
        away = landmarks[row].astype(np.float64) / size - place
        speed += _share(speed_cut) * (np.linalg.norm(away, axis=1) - speed)
        place = place + _share(slowest + gain * speed)[:, None] * away
        total[row] += place


def _share(cut_off: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Share of the new value in a first-order low pass; `cut_off` in cycles a frame."""
    rate = 2 * np.pi * np.asarray(cut_off)
    return rate / (rate + 1)
