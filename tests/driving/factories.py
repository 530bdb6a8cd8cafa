"""Tracks without pictures."""

import numpy as np

from fantasyportrait.schema.face import Track


def track(person: int, frames: int = 4, side: float = 100, valid: bool = True) -> Track:
    """A person who is seen in every frame of 640 x 480, or in none; `side` is where the first landmark lies."""
    landmarks = np.zeros((frames, 478, 3), np.float32)
    landmarks[:, 0] = side
    return Track(
        person,
        (640, 480),
        landmarks,
        np.zeros((frames, 52), np.float32),
        np.full(frames, valid),
        np.zeros((frames, 48, 80, 3), np.uint8),
    )
