"""Piecewise affine warps: the triangle that covers each pixel, and the pixel's place in the source."""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

_SHIFT = 4


class Window(NamedTuple):
    """A rectangle of whole pixels of the photo: left, top inclusive; right, bottom exclusive."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""
        return self.bottom - self.top, self.right - self.left

    @property
    def origin(self) -> NDArray[np.float64]:
        """xy of the first pixel."""
        return np.array([self.left, self.top], np.float64)

    def of(self, image: np.ndarray) -> np.ndarray:
        """The view of an image (H, W, ...) inside this window."""
        return image[self.top : self.bottom, self.left : self.right]

    def intersection(self, other: "Window") -> "Window":
        """The pixels of both windows; may be empty."""
        left, top = max(self.left, other.left), max(self.top, other.top)
        right, bottom = min(self.right, other.right), min(self.bottom, other.bottom)
        return Window(left, top, max(right, left), max(bottom, top))

    def holds(self, other: "Window") -> bool:
        """Whether every pixel of another window is in this one."""
        return self.intersection(other) == other

    @classmethod
    def around(cls, points: NDArray[np.float64], margin: float, shape: tuple[int, ...]) -> "Window":
        """The window around points (N, >= 2) with a margin in pixels, inside an image of `shape`; may be empty."""
        low = np.floor(points[:, :2].min(axis=0) - margin)
        high = np.ceil(points[:, :2].max(axis=0) + margin) + 1
        left, top = np.clip(low, 0, [shape[1], shape[0]]).astype(int)
        right, bottom = np.clip(high, 0, [shape[1], shape[0]]).astype(int)
        return cls(int(left), int(top), max(int(right), int(left)), max(int(bottom), int(top)))


def backward_affines(source: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float32]:
    """For triangles (N, 3, 2): coefficients (N, 6) so that source x, y = (a x + b y + c, d x + e y + f) of target.

    A triangle squeezed from something visible to less than a quarter of a pixel takes its colour from the middle of
    its source.
    """
    edge1, edge2 = target[:, 1] - target[:, 0], target[:, 2] - target[:, 0]
    area = edge1[:, 0] * edge2[:, 1] - edge1[:, 1] * edge2[:, 0]
    source1, source2 = source[:, 1] - source[:, 0], source[:, 2] - source[:, 0]
    source_area = np.abs(source1[:, 0] * source2[:, 1] - source1[:, 1] * source2[:, 0])
    squeezed = (np.abs(area) < 1e-3) | ((np.abs(area) < 0.5) & (np.abs(area) < 0.5 * source_area))
    area = np.where(squeezed, 1.0, area)
    source = np.where(squeezed[:, None, None], source.mean(axis=1, keepdims=True), source)
    source1, source2 = source[:, 1] - source[:, 0], source[:, 2] - source[:, 0]
    along_x = (source1 * edge2[:, 1:2] - source2 * edge1[:, 1:2]) / area[:, None]
    along_y = (source2 * edge1[:, 0:1] - source1 * edge2[:, 0:1]) / area[:, None]
    start = source[:, 0] - along_x * target[:, 0, 0:1] - along_y * target[:, 0, 1:2]
    return np.column_stack(
        [along_x[:, 0], along_y[:, 0], start[:, 0], along_x[:, 1], along_y[:, 1], start[:, 1]]
    ).astype(np.float32)


def triangle_map(
    source: NDArray[np.float64],
    target: NDArray[np.float64],
    triangles: NDArray[np.int64],
    window: Window,
    part: Window | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int32]]:
    """Return the source coordinates of each pixel of the window, or of a part of it.

    Args:
        source, target: points (N, 2), pixels of the photo.
        triangles: (M, 3), drawn in this order: later ones cover earlier ones.
        window: the pixels whose coordinates are computed; rounding depends on where it begins.
        part: the pixels of the window that are returned, with the same values as for the whole; None for all.

    Returns:
        Source x and y, float32 (h, w), in pixels of the photo, and int32 (h, w) the number of the triangle on top,
        counted from 1; 0 where there is none (there x and y are the pixel's own place).
    """
    part = part or window
    corners = target[triangles] - window.origin
    first = part.origin - window.origin
    last = first + part.shape[::-1]
    # An edge is drawn up to a pixel beyond its corners.
    margin = 0 if part == window else 1
    shown = (corners.max(axis=1) >= first - margin).all(axis=1) & (corners.min(axis=1) < last + margin).all(axis=1)
    affines = backward_affines(source[triangles[shown]], corners[shown])
    affines = np.concatenate([[[1, 0, window.left, 0, 1, window.top]], affines]).astype(np.float32)
    ids = np.zeros(window.shape, np.int32)
    fixed = np.round(corners[shown] * (1 << _SHIFT)).astype(np.int32)
    for number, corner in enumerate(fixed, start=1):
        cv2.fillConvexPoly(ids, corner, number, cv2.LINE_8, _SHIFT)
    numbers = np.concatenate([[0], np.nonzero(shown)[0] + 1]).astype(np.int32)
    inside = Window(*(int(value) for value in (*first, *last)))
    ids = inside.of(ids)
    y, x = np.ogrid[inside.top : inside.bottom, inside.left : inside.right]
    x, y = x.astype(np.float32), y.astype(np.float32)
    # Each coefficient by itself, without bounds checks: a third of the time of gathering rows of six.
    row = ids.astype(np.intp)
    a, b, c, d, e, f = (np.take(column, row, mode="clip") for column in np.ascontiguousarray(affines.T))
    map_x, map_y = a * x, d * x
    for result, along_y, start in ((map_x, b, c), (map_y, e, f)):
        result += along_y * y
        result += start
    return map_x, map_y, numbers[ids]


def local_affine(source: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Least-squares affine (2, 3) of points `source` onto `target`, both (N, 2)."""
    design = np.column_stack([source, np.ones(len(source))])
    return np.asarray(np.linalg.lstsq(design, target, rcond=None)[0].T)


def affine_map(affine: NDArray[np.float64], window: Window) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Apply an affine (2, 3) to each pixel of the window: x and y, float32 (h, w)."""
    y, x = np.mgrid[window.top : window.bottom, window.left : window.right].astype(np.float32)
    map_x, map_y = (row[0] * x + row[1] * y + row[2] for row in affine.astype(np.float32))
    return map_x, map_y


def polygon_mask(points: NDArray[np.float64], window: Window, feather: float) -> NDArray[np.float32]:
    """Soft mask 0 to 1 (h, w) of a polygon (N, 2); `feather` is the blur in pixels."""
    canvas = np.zeros(window.shape, np.uint8)
    outline = np.round((points - window.origin) * (1 << _SHIFT)).astype(np.int32)
    cv2.fillPoly(canvas, [outline], 255, cv2.LINE_AA, _SHIFT)
    mask = canvas.astype(np.float32) / 255
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), feather) if feather > 0 else mask, np.float32)


def blend(over: NDArray[np.uint8], under: NDArray[np.uint8], alpha: NDArray[np.float32]) -> NDArray[np.uint8]:
    """`over` where alpha is 1, `under` where it is 0, exactly; images (h, w, C), alpha (h, w)."""
    return np.asarray(cv2.blendLinear(over, np.ascontiguousarray(under), alpha, 1 - alpha), np.uint8)
