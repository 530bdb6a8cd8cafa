"""Windows, triangle maps, masks, blends."""

import cv2
import numpy as np
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray

from fantasyportrait.preview.raster import (
    Window,
    backward_affines,
    blend,
    local_affine,
    polygon_mask,
    triangle_map,
)

coordinates = st.floats(-50, 150, allow_nan=False)
corners = st.lists(st.tuples(coordinates, coordinates), min_size=3, max_size=3).map(np.array)
seeds = st.integers(0, 2**32 - 1)


def pairs(most: int) -> st.SearchStrategy[list[int]]:
    """Two whole numbers up to `most`."""
    return st.lists(st.integers(0, most), min_size=2, max_size=2)


WINDOW = Window(10, 20, 90, 80)


def area(triangle: NDArray[np.float64]) -> float:
    """Twice the area of a triangle (3, 2)."""
    (ax, ay), (bx, by) = triangle[1] - triangle[0], triangle[2] - triangle[0]
    return abs(float(ax * by - ay * bx))


def grid(seed: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """A jittered grid of points over WINDOW and beyond, and its triangles."""
    x, y = np.meshgrid(np.linspace(0, 100, 9), np.linspace(10, 90, 8))
    points = np.column_stack([x.ravel(), y.ravel()]) + np.random.default_rng(seed).uniform(-3, 3, (72, 2))
    first = (np.arange(7)[:, None] * 9 + np.arange(8)).ravel()
    upper = np.column_stack([first, first + 1, first + 10])
    return points, np.concatenate([upper, np.column_stack([first, first + 10, first + 9])])


@given(corners, corners)
def test_affines_map_corners_to_corners(source: NDArray[np.float64], target: NDArray[np.float64]) -> None:
    if area(target) < 20:
        return
    a = backward_affines(source[None], target[None])[0].astype(np.float64).reshape(2, 3)
    np.testing.assert_allclose(target @ a[:, :2].T + a[:, 2], source, atol=0.1)


@given(corners)
def test_affines_of_slivers_are_finite(source: NDArray[np.float64]) -> None:
    line = np.outer([0.0, 1.0, 2.0], [3.0, 4.0])
    assert np.isfinite(backward_affines(np.stack([source] * 2), np.stack([line, np.zeros((3, 2))]))).all()


@settings(max_examples=40)
@given(seeds, st.floats(0.3, 3), st.floats(-3, 3), st.floats(-40, 40))
def test_partition_has_no_holes_and_affine_map(seed: int, scale: float, angle: float, shift: float) -> None:
    target, triangles = grid(seed)
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    map_x, map_y, numbers = triangle_map(target @ linear.T + shift, target, triangles, WINDOW)
    assert map_x.shape == map_y.shape == numbers.shape == WINDOW.shape
    assert numbers.min() >= 1 and numbers.max() <= len(triangles)
    y, x = np.mgrid[WINDOW.top : WINDOW.bottom, WINDOW.left : WINDOW.right]
    wanted = np.dstack([x, y]) @ linear.T + shift
    np.testing.assert_allclose(np.dstack([map_x, map_y]), wanted, atol=0.02 * scale)


@settings(max_examples=40)
@given(seeds, seeds)
def test_every_pixel_comes_from_inside_its_triangle(seed: int, other: int) -> None:
    (source, triangles), (target, _) = grid(seed), grid(other)
    map_x, map_y, numbers = triangle_map(source, target, triangles, WINDOW)
    for row, column in ((0, 0), (17, 40), (59, 79), (30, 5)):
        triangle = source[triangles[numbers[row, column] - 1]].astype(np.float32)
        place = (float(map_x[row, column]), float(map_y[row, column]))
        assert cv2.pointPolygonTest(triangle, place, True) > -1.5


def test_later_triangles_cover_and_rest_is_empty() -> None:
    target = np.array([[20, 30], [60, 30], [20, 70], [60, 70], [-90, 0], [-80, 0], [-80, 9]], np.float64)
    triangles = np.array([[4, 5, 6], [0, 1, 2], [1, 2, 0], [1, 3, 2]])
    map_x, map_y, numbers = triangle_map(target + 5, target, triangles, WINDOW)
    assert numbers[15, 15] == 3 and numbers[45, 45] == 4
    assert numbers[0, 0] == 0 and (map_x[0, 0], map_y[0, 0]) == (WINDOW.left, WINDOW.top)
    assert map_x[15, 15] == WINDOW.left + 15 + 5


@given(st.lists(st.tuples(coordinates, coordinates), min_size=1, max_size=5).map(np.array), st.floats(0, 60))
def test_windows_lie_in_the_image_around_the_points(points: NDArray[np.float64], margin: float) -> None:
    image = np.zeros((70, 100, 3), np.uint8)
    window = Window.around(points, margin, image.shape)
    assert 0 <= window.left <= window.right <= 100 and 0 <= window.top <= window.bottom <= 70
    assert window.of(image).shape[:2] == window.shape
    for x, y in points:
        if 0 <= x <= 99 and 0 <= y <= 69:
            assert window.left <= max(x - margin, 0) and min(x + margin, 99) < window.right
            assert window.top <= max(y - margin, 0) and min(y + margin, 69) < window.bottom


@given(seeds)
def test_blend_is_exact_at_alpha_0_and_1(seed: int) -> None:
    random = np.random.default_rng(seed)
    over, under = random.integers(0, 256, (2, 9, 13, 3), np.uint8)
    alpha = random.choice(np.array([0, 1, 0.25, 0.7], np.float32), (9, 13))
    mixed = blend(over, under, alpha)
    np.testing.assert_array_equal(mixed[alpha == 1], over[alpha == 1])
    np.testing.assert_array_equal(mixed[alpha == 0], under[alpha == 0])
    wanted = over * alpha[..., None] + under * (1 - alpha[..., None])
    np.testing.assert_allclose(mixed, wanted, atol=1)


@given(corners, st.sampled_from([0.0, 0.6, 2.0, 5.0]))
def test_polygon_masks_stay_within_0_and_1(points: NDArray[np.float64], feather: float) -> None:
    mask = polygon_mask(points, WINDOW, feather)
    assert mask.dtype == np.float32 and mask.shape == WINDOW.shape
    assert mask.min() >= 0 and mask.max() <= 1 + 1e-6


def test_polygon_mask_inside_and_outside() -> None:
    mask = polygon_mask(np.array([[30, 30], [70, 30], [70, 70], [30, 70]], np.float64), WINDOW, 2)
    assert mask[30, 40] > 0.999 and mask[2, 2] == 0 and 0.3 < mask[30, 20] < 0.7


@given(seeds)
def test_a_local_affine_is_found_again(seed: int) -> None:
    random = np.random.default_rng(seed)
    source, truth = random.uniform(-50, 50, (12, 2)), random.uniform(-2, 2, (2, 3))
    found = local_affine(source, source @ truth[:, :2].T + truth[:, 2])
    np.testing.assert_allclose(found, truth, atol=1e-8)


@settings(max_examples=40)
@given(
    seeds, st.lists(st.integers(0, 80), min_size=2, max_size=2), st.lists(st.integers(0, 60), min_size=2, max_size=2)
)
def test_part_of_map_has_values_of_whole_map(seed: int, across: list[int], down: list[int]) -> None:
    target, triangles = grid(seed)
    source = target + np.random.default_rng(seed).uniform(-4, 4, target.shape)
    part = Window(WINDOW.left + min(across), WINDOW.top + min(down), WINDOW.left + max(across), WINDOW.top + max(down))
    whole = triangle_map(source, target, triangles, WINDOW)
    inside = np.s_[min(down) : max(down), min(across) : max(across)]
    for given_part, expected in zip(triangle_map(source, target, triangles, WINDOW, part), whole, strict=True):
        np.testing.assert_array_equal(given_part, expected[inside])
    assert WINDOW.holds(part) and part.intersection(WINDOW) == part
