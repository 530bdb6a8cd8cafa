"""The group filter: settings by movement, jitter damped, movement kept, groups apart."""

import numpy as np
import pytest

from fantasyportrait.motion.group_smoothing import POINT_GROUPS, GroupSmoother, PointGroup, face_size
from fantasyportrait.testing.tiny_onnx import tiny_face

SIZE = 260.0


def test_every_landmark_is_in_one_group() -> None:
    covered = [point for group in POINT_GROUPS for point in range(group.first, group.last + 1)]
    assert covered == list(range(222))


@pytest.mark.parametrize("group", POINT_GROUPS)
def test_setting_grows_with_movement_to_maximum(group: PointGroup) -> None:
    assert group.setting(0) == 0
    assert group.setting(group.slow) == pytest.approx(group.least)
    assert group.setting(group.slow / 2) == pytest.approx(group.least / 2)
    assert group.setting((group.slow + group.fast) / 2) == pytest.approx((group.least + group.most) / 2)
    assert group.setting(group.fast) == group.setting(1) == pytest.approx(group.most)


def test_the_first_frame_and_a_still_face_stay() -> None:
    face, smoother = tiny_face() * SIZE, GroupSmoother()
    for _ in range(4):
        np.testing.assert_array_equal(smoother.smooth(face, SIZE), face.astype(np.float64))


def test_jitter_is_damped_and_movement_followed() -> None:
    random, face, smoother = np.random.default_rng(0), tiny_face().astype(np.float64) * SIZE, GroupSmoother()
    noisy = np.stack([smoother.smooth(face + random.normal(0, 0.3, face.shape), SIZE) for _ in range(60)])
    assert np.diff(noisy[5:], axis=0).std() < 0.2 * 0.3 * np.sqrt(2)
    for _ in range(6):
        moved = smoother.smooth(face + 60, SIZE)
    assert np.abs(moved - face - 60).max() < 1


def test_a_group_does_not_move_the_others() -> None:
    face, smoother = tiny_face().astype(np.float64) * SIZE, GroupSmoother()
    smoother.smooth(face, SIZE)
    open_mouth = face.copy()
    open_mouth[118:182, 1] += 10
    away = np.abs(smoother.smooth(open_mouth, SIZE) - face).max(axis=1)
    assert away[118:182].min() > 1 and np.delete(away, np.s_[118:182]).max() == 0


def test_a_turned_face_counts_as_larger() -> None:
    points = np.zeros((222, 2))
    points[32] = 3, 4
    assert face_size(points, 0, 0) == 5
    assert face_size(points, -18, 0) == pytest.approx(10)
    assert face_size(points, 0, 30) == pytest.approx(10)
