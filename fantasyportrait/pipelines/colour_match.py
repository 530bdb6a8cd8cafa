"""Keeps the colours of long videos, which drift from window to window, at the portrait's."""

import numpy as np
from numpy.typing import NDArray

# Weight of a chunk (4 frames) in the running statistics: about a second, so that a blink has no effect.
_SHARE = 0.15
_GAIN_LIMITS = (0.8, 1.25)
_LEVELS = np.arange(256, dtype=np.float64)


class ColourMatch:
    """Matches mean and standard deviation of each channel to the portrait's. Call it on the chunks in order."""

    def __init__(self, portrait: NDArray[np.uint8]) -> None:
        self._target = _moments(portrait[None])
        self._now: NDArray[np.float64] | None = None

    def __call__(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Matched frames uint8 (n, H, W, 3) of one chunk."""
        seen = _moments(frames)
        self._now = seen if self._now is None else self._now + _SHARE * (seen - self._now)
        gain = np.clip(self._target[1] / np.maximum(self._now[1], 1.0), *_GAIN_LIMITS)
        matched = (_LEVELS[:, None] - self._now[0]) * gain + self._target[0]
        table = np.clip(np.round(matched), 0, 255).astype(np.uint8)
        return np.stack([table[frames[..., channel], channel] for channel in range(3)], axis=-1)


def _moments(frames: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(2, 3): mean and standard deviation of each channel, from how often each of the 256 levels occurs."""
    counts = np.stack([np.bincount(frames[..., channel].ravel(), minlength=256) for channel in range(3)], axis=1)
    total = counts.sum(axis=0)
    mean = (counts * _LEVELS[:, None]).sum(axis=0) / total
    spread = (counts * (_LEVELS[:, None] - mean) ** 2).sum(axis=0) / total
    return np.stack([mean, np.sqrt(spread)])
