"""A motion code is checked when it is made; relative motion starts at the portrait."""

import numpy as np
import pytest

from fantasyportrait.schema.motion_code import FEATURE_DIM, FEATURE_GROUPS, MotionCode


def made_code(rows: int, seed: int = 0) -> MotionCode:
    random = np.random.default_rng(seed)
    return MotionCode.from_features(
        random.normal(size=(rows, FEATURE_DIM)).astype(np.float32), random.random(rows) > 0.3
    )


def test_motion_code_features_are_groups_in_order() -> None:
    code = made_code(3)
    assert len(code) == 3 and code.features.shape == (3, 554) and code.features.dtype == np.float32
    np.testing.assert_array_equal(code.features[:, :6], code.head_pose)
    np.testing.assert_array_equal(code.features[:, 6:12], code.eyes)
    np.testing.assert_array_equal(code.features[:, 12:42], code.emotion)
    np.testing.assert_array_equal(code.features[:, 42:], code.mouth)


@pytest.mark.parametrize("name", [*FEATURE_GROUPS, "valid"])
def test_invalid_group_shape_or_dtype_is_refused(name: str) -> None:
    code = made_code(3)
    parts = {part: getattr(code, part) for part in [*FEATURE_GROUPS, "valid"]}
    with pytest.raises(ValueError, match="expected"):
        MotionCode(**{**parts, name: parts[name].astype(np.float64)})
    with pytest.raises(ValueError, match="expected"):
        MotionCode(**{**parts, name: parts[name][:-1]})


@pytest.mark.parametrize("shape", [(3, 553), (554,), (1, 3, 554)])
def test_motion_code_refuses_feature_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="554"):
        MotionCode.from_features(np.zeros(shape, np.float32), np.ones(3, np.bool_))


def test_relative_motion_starts_at_portrait() -> None:
    code, portrait = made_code(5, 1), made_code(1, 2)
    relative = code.relative_to(3, portrait)
    np.testing.assert_allclose(relative.features[3], portrait.features[0], atol=1e-6)
    np.testing.assert_allclose(np.diff(relative.features, axis=0), np.diff(code.features, axis=0), atol=1e-5)
    np.testing.assert_array_equal(relative.valid, code.valid)
