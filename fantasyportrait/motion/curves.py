"""Periodic curves in time: eased keys, slow drift, blinks and glances, with the period of the whole duration.

A curve is sampled at `times` in seconds within 0 <= t < duration and continues at `duration` as it began.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Keyframe = tuple[float, float]

# Seconds and closure of a blink: lids fall faster than they rise.
BLINK: tuple[Keyframe, ...] = ((0.0, 0.0), (0.1, 1.0), (0.16, 1.0), (0.33, 0.0))
BLINK_EVERY_S = 3.3
GLANCE_EVERY_S = 1.1
SACCADE_S = 0.06


def eased(times: Floats, keys: Sequence[Keyframe]) -> Floats:
    """Values (T,) between (time, value) keys in order of time, at rest at every key, constant outside."""
    at, value = np.array(keys, np.float64).T
    place = np.interp(times, at, np.arange(len(at)))
    whole = np.floor(place)
    part = place - whole
    return np.asarray(np.interp(whole + part**2 * (3.0 - 2.0 * part), np.arange(len(at)), value), np.float64)


def drift(times: Floats, duration: float, frequency: float, rng: np.random.Generator) -> Floats:
    """Slow drift (T,), about -1 to 1 and 0 at the beginning, of harmonics of `duration` near `frequency` (Hz)."""
    total = np.zeros_like(times)
    for share, weight in ((0.45, 0.5), (0.8, 0.35), (1.3, 0.25)):
        wanted = share * frequency * duration
        turns = max(1, round(wanted))
        phase = rng.uniform(0.0, 2.0 * np.pi)
        wave = np.sin(2.0 * np.pi * turns * times / duration + phase) - np.sin(phase)
        total += weight * min(1.0, wanted / turns) * wave
    return total


def blinks(times: Floats, duration: float, rng: np.random.Generator) -> Floats:
    """Closure (T,) of the eyelids, 0 to 1, by blinks at irregular intervals; none in less than about two seconds."""
    count = round(duration / BLINK_EVERY_S)
    closure = np.zeros_like(times)
    for start in (np.arange(count) + rng.uniform(0.25, 0.75, count)) * duration / max(count, 1):
        closure = np.maximum(closure, eased(times - start, BLINK))
    return closure


def glances(times: Floats, duration: float, rng: np.random.Generator) -> Floats:
    """Small jumps (T,) of the gaze, of unit size, with rests between; begins and ends at 0."""
    count = round(duration / GLANCE_EVERY_S)
    keys: list[Keyframe] = [(0.0, 0.0)]
    for start in (np.arange(count) + rng.uniform(0.1, 0.8, count)) * duration / max(count, 1):
        keys += [(start, keys[-1][1]), (start + SACCADE_S, rng.uniform(-1.0, 1.0))]
    at, last = keys[-1]
    back = max(at, at + (duration - at) / 2.0 - SACCADE_S)
    return eased(times, [*keys, (back, last), (back + SACCADE_S, 0.0)])
