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


class OneEuroFilter:
    """The filter of `smooth_landmarks` in one direction, a frame at a time: what moves slowly lags by about a frame.

    Attributes:
        place: float64 (N, 3), the filtered landmarks of the last frame, over `size`.
    """

    # In cycles a frame: jitter of 0.2 % of a face is damped, a blink (5 % a frame) passes.
    _GAIN, _SPEED_CUT = 15.0, 0.25

    def __init__(self, first: NDArray[np.float32], size: float, strength: float) -> None:
        """`first` are the landmarks (N, 3) of the first frame, `size` is the face's in the same units."""
        self._size = size
        self._slowest = 0.5 * (1 - 0.8 * strength)
        self.place = first.astype(np.float64) / size
        self._speed = np.zeros(len(first))

    def step(self, landmarks: NDArray[np.float32], frames: float = 1.0) -> None:
        """Filter the next landmarks (N, 3), so many frames of 1/25 s after the last ones."""
        away = landmarks.astype(np.float64) / self._size - self.place
        moved = np.linalg.norm(away, axis=1) / frames
        self._speed += _share(self._SPEED_CUT * frames) * (moved - self._speed)
        self.place = self.place + _share((self._slowest + self._GAIN * self._speed) * frames)[:, None] * away


def _add_one_euro(
    total: NDArray[np.float64], landmarks: NDArray[np.float32], size: float, strength: float, order: range
) -> None:
    """Add the filtered landmarks, over `size`, to `total`; rows are visited in `order`."""
    one_euro = OneEuroFilter(landmarks[order[0]], size, strength)
    total[order[0]] += one_euro.place
    for row in order[1:]:
        one_euro.step(landmarks[row])
        total[row] += one_euro.place


def _share(cut_off: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Share of the new value in a first-order low pass; `cut_off` in cycles a frame."""
    rate = 2 * np.pi * np.asarray(cut_off)
    return rate / (rate + 1)
