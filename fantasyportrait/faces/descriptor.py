"""The appearance descriptor of a face, a colour histogram, and the assignment of observations to tracklets."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

_GRID = 16
# Lab bins of each half of the face, and the range of each channel that skin, hair, beard and glasses fall into.
_BINS = (8, 12, 12)
_LOW = (0.0, -10.0, -10.0)
_HIGH = (100.0, 40.0, 50.0)


@dataclass(frozen=True)
class Descriptor:
    """The colours of a face: float32 (2, 8, 12, 12), Lab histograms of its upper and its lower half, each of sum 1."""

    histograms: NDArray[np.float32]

    @classmethod
    def of(cls, pixels: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> "Descriptor":
        """Compute the descriptor of the face with these landmarks (478, 3) in an RGB frame (H, W, 3)."""
        halves = np.split(_colours(pixels, landmarks), 2)
        return cls(np.stack([_histogram(half.reshape(-1, 3)) for half in halves]))

    def distance(self, other: "Descriptor") -> float:
        """Hellinger distance, 0 (equal) to 1: mostly below 0.25 for one person, above for two people in one light."""
        alike = float(np.sqrt(self.histograms * other.histograms).sum()) / len(self.histograms)
        return float(np.sqrt(max(0.0, 1.0 - alike)))

    def blended(self, other: "Descriptor", share: float) -> "Descriptor":
        """Return the mean of this descriptor and `other`, which has the weight `share` (0 to 1)."""
        return Descriptor(self.histograms * (1 - share) + other.histograms * share)


def assign(costs: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Pairs (row, column), each row and column at most once: as many as possible, and of these the least total cost.

    Infinite costs are never paired. Exact for any shape, in O(N^2 M) for N rows and M columns or the reverse, N <= M.
    """
    if costs.shape[0] > costs.shape[1]:
        return [(row, column) for column, row in assign(costs.T)]
    possible = np.isfinite(costs)
    if not possible.any():
        return []
    low, high = float(costs[possible].min()), float(costs[possible].max())
    # An impossible pair costs more than the other pairs can save, so the solution has as few of them as there can be.
    impossible = high + len(costs) * (high - low) + 1
    owners = _cheapest_owners(np.where(possible, costs, impossible))
    return [(row, column) for column, row in enumerate(owners) if row >= 0 and possible[row, column]]


def _cheapest_owners(costs: NDArray[np.float64]) -> list[int]:
    """The row of each column, -1 where there is none: every row has a column, and the total cost is the least.

    Costs (N, M) are finite, N <= M. Shortest augmenting paths (Crouse, "On implementing 2D rectangular assignment
    algorithms", 2016): each row takes a free column and may move earlier rows to other columns; potentials keep the
    reduced costs at 0 or more, so that Dijkstra's algorithm finds the cheapest such path.
    """
    row_potentials, column_potentials = np.zeros(costs.shape[0]), np.zeros(costs.shape[1])
    owners = np.full(costs.shape[1], -1)
    for start in range(len(costs)):
        distances, previous = np.full(len(owners), np.inf), np.full(len(owners), -1)
        done = np.zeros(len(owners), np.bool_)
        row, column, distance = start, -1, 0.0
        while row >= 0:
            reached = distance + costs[row] - row_potentials[row] - column_potentials
            shorter = ~done & (reached < distances)
            distances[shorter], previous[shorter] = reached[shorter], column
            column = int(np.argmin(np.where(done, np.inf, distances)))
            distance, row = distances[column], owners[column]
            done[column] = row >= 0
        saved = distance - distances[done]
        row_potentials[owners[done]] += saved
        column_potentials[done] -= saved
        row_potentials[start] += distance
        while column >= 0:
            before = previous[column]
            owners[column] = owners[before] if before >= 0 else start
            column = before
    return [int(row) for row in owners]


def _colours(pixels: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Lab (16, 16, 3) of the middle two thirds of the face, eyes level, forehead to chin."""
    xy = landmarks[:, :2].astype(np.float64)
    across = xy[263] - xy[33]
    length = float(np.hypot(*across))
    x_axis = across / length if length > 0 else np.array([1.0, 0.0])
    axes = np.column_stack([x_axis, [-x_axis[1], x_axis[0]]])
    upright = xy @ axes
    low, high = upright.min(axis=0), upright.max(axis=0)
    margin = np.array([(high[0] - low[0]) / 6, 0.0])
    low, high = low + margin, high - margin
    finer = max(1, int(np.ceil((high - low).max() / _GRID / 1.5)))
    linear = axes * ((high - low) / (_GRID * finer))
    matrix = np.column_stack([linear, axes @ low])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = (_GRID * finer, _GRID * finer)
    patch = cv2.warpAffine(pixels, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    small = cv2.resize(patch, (_GRID, _GRID), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2LAB), np.float32)


def _histogram(lab: NDArray[np.float32]) -> NDArray[np.float32]:
    """Softened histogram (8, 12, 12) of Lab pixels (N, 3), sum 1: a small change of light moves it little."""
    low, high, bins = np.array(_LOW), np.array(_HIGH), np.array(_BINS)
    cells = np.clip((lab - low) / (high - low) * bins, 0, bins - 1).astype(np.int64)
    flat = np.ravel_multi_index((cells[:, 0], cells[:, 1], cells[:, 2]), _BINS)
    counts = np.bincount(flat, minlength=int(bins.prod())).reshape(_BINS).astype(np.float64)
    for axis in range(3):
        rows = np.moveaxis(counts, axis, 0)
        soft = rows / 2
        soft[1:] += rows[:-1] / 4
        soft[:-1] += rows[1:] / 4
        counts = np.moveaxis(soft, 0, axis)
    return np.asarray(counts / counts.sum(), np.float32)
