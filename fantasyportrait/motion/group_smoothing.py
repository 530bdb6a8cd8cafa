"""The original smoothing of the 222 landmarks: a One-Euro filter for each group of points.

The more a group moves, the less it is smoothed. As in the original code, each filter's time step is its current
setting, not the time between two frames.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.geometry import Array


@dataclass(frozen=True)
class PointGroup:
    """Landmarks `first` to `last` and how they are smoothed.

    The movement is the mean shift of the points `watched` (first, last) in a frame, in face sizes. Below `slow` the
    filter's setting grows from 0 to `least`, up to `fast` on to `most`, where it stays.
    """

    first: int
    last: int
    slow: float
    fast: float
    least: float
    most: float
    watched: tuple[int, int]

    def setting(self, movement: float) -> float:
        """The filter's setting for a movement in face sizes."""
        if movement < self.slow:
            return self.least * movement / self.slow
        share = min((movement - self.slow) / (self.fast - self.slow), 1.0)
        return self.least + (self.most - self.least) * share


def _group(first: int, last: int, least: float, most: float) -> PointGroup:
    """A group inside the face: all of its points are watched."""
    return PointGroup(first, last, 0.003, 0.02, least, most, (first, last))


POINT_GROUPS = (
    PointGroup(0, 32, 0.005, 0.02, 0.05, 0.3, (9, 23)),  # contour; its ends slide along the cheeks
    _group(33, 47, 0.03, 0.7),  # nose
    _group(48, 73, 0.02, 0.5),  # brows
    _group(74, 95, 0.03, 0.7),  # eyes
    _group(96, 117, 0.03, 0.7),
    _group(118, 181, 0.05, 0.7),  # mouth
    _group(182, 201, 0.03, 0.7),  # pupils
    _group(202, 221, 0.03, 0.7),
)


def face_size(points: Array, pitch: float, yaw: float) -> float:
    """Size in pixels, for movement, of a face with landmarks (222, 2) that is turned by `pitch` and `yaw` degrees."""
    across = float(np.linalg.norm(np.asarray(points[32], np.float64) - points[0]))
    return across * (1 + (abs(pitch) + 0.6 * abs(yaw)) / 18)


class GroupSmoother:
    """Smooths the landmarks of one face frame by frame; use a new one after a lost face or a shot change."""

    def __init__(self) -> None:
        self._last: NDArray[np.float64] | None = None
        self._speed = np.zeros(0)

    def smooth(self, points: Array, size: float) -> NDArray[np.float64]:
        """The next frame's landmarks (222, 2) smoothed; the first come back as they are. `size`: the face's, pixels."""
        new = np.asarray(points, np.float64)
        if self._last is None:
            self._last, self._speed = new.copy(), np.zeros_like(new)
            return new
        smoothed = self._last.copy()
        for group in POINT_GROUPS:
            self._smooth_group(group, new, smoothed, size)
        self._last = smoothed
        return np.array(smoothed)

    def _smooth_group(
        self, group: PointGroup, new: NDArray[np.float64], smoothed: NDArray[np.float64], size: float
    ) -> None:
        """One step of the group's filter (Casiez et al. 2012), written into `smoothed`, which holds the last result."""
        points = slice(group.first, group.last + 1)
        watched = slice(group.watched[0], group.watched[1] + 1)
        way = np.linalg.norm(new[watched] - smoothed[watched], axis=1).mean()
        setting = group.setting(float(way) / max(size, 1e-6))
        if setting <= 0:  # nothing moved
            return
        step = new[points] - smoothed[points]
        self._speed[points] += _share(setting) * (step / setting - self._speed[points])
        smoothed[points] += _share(setting * (1 + setting * np.abs(self._speed[points]))) * step


def _share(turns: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of the new value in a first-order low pass; `turns` is the cut-off frequency times the time step."""
    rate = 2 * np.pi * np.asarray(turns)
    return np.asarray(rate / (rate + 1))
