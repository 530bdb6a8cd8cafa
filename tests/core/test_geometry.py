"""Similarities, rotations and boxes: known transforms are recovered."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from fantasyportrait.core.geometry import bounding_box, box_iou, estimate_similarity, euler_angles, rotation_matrix

angle = st.floats(-179, 179)
yaw = st.floats(-85, 85)
seeds = st.integers(0, 2**32 - 1)


@given(angle, yaw, angle, st.floats(0.1, 10), seeds)
def test_a_similarity_in_space_is_recovered(pitch: float, turn: float, roll: float, scale: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    source, shift = rng.normal(size=(27, 3)), rng.normal(size=3) * 100
    rotation = rotation_matrix(pitch, turn, roll)
    found = estimate_similarity(source, scale * source @ rotation.T + shift)
    assert found.scale == pytest.approx(scale)
    np.testing.assert_allclose(found.rotation, rotation, atol=1e-6)
    np.testing.assert_allclose(found.shift, shift, atol=1e-6)


@given(angle, st.floats(0.1, 10), seeds)
def test_a_similarity_in_the_plane_is_recovered(roll: float, scale: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    source = rng.normal(size=(5, 2))
    target = scale * source @ rotation_matrix(0, 0, roll)[:2, :2].T + 3
    np.testing.assert_allclose(estimate_similarity(source, target).apply(source), target, atol=1e-6)


def test_a_mirrored_cloud_gives_a_rotation_still() -> None:
    source = np.random.default_rng(1).normal(size=(20, 3))
    found = estimate_similarity(source, source * [-1, 1, 1])
    assert np.linalg.det(found.rotation) == pytest.approx(1)


def test_points_without_weight_do_not_matter() -> None:
    rng = np.random.default_rng(2)
    source = rng.normal(size=(10, 3))
    target = 2 * source + 1
    target[3] += 50
    weights = np.ones(10)
    weights[3] = 0
    found = estimate_similarity(source, target, weights)
    assert found.scale == pytest.approx(2)
    np.testing.assert_allclose(found.shift, 1, atol=1e-9)


@given(angle, yaw, angle)
def test_angles_survive_the_matrix(pitch: float, turn: float, roll: float) -> None:
    matrix = rotation_matrix(pitch, turn, roll)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-9)
    np.testing.assert_allclose(euler_angles(matrix), [pitch, turn, roll], atol=1e-6)


def test_a_box_holds_its_points_and_no_more() -> None:
    points = np.array([[3, 4, 9], [1, 8, 9], [2, 5, 9]])
    np.testing.assert_array_equal(bounding_box(points), [1, 4, 3, 8])


@pytest.mark.parametrize(
    ("other", "expected"),
    [((0, 0, 10, 10), 1.0), ((5, 0, 15, 10), 1 / 3), ((10, 0, 20, 10), 0.0), ((2, 2, 4, 4), 0.04)],
)
def test_overlap_of_boxes(other: tuple[float, ...], expected: float) -> None:
    box = np.array([0, 0, 10, 10], np.float32)
    assert box_iou(box, np.array(other, np.float32)) == pytest.approx(expected)
    assert box_iou(np.array(other, np.float32), box) == pytest.approx(expected)
