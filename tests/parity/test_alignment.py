"""The crops are the public code's, to rounding."""

import numpy as np

from fantasyportrait.motion.alignment import (
    FIVE_OF_222,
    box_to_crop,
    encoder_input,
    face_crop,
    five_point_matrix,
    points_to_crop,
)
from tests.parity.cases import Cases


def test_five_point_similarity_equals_public_code(cases: Cases) -> None:
    case = cases.arrays("alignment")
    matrix = five_point_matrix(case["landmarks"][FIVE_OF_222])
    np.testing.assert_allclose(matrix, case["similarity_5pt"][:2], rtol=0, atol=1e-9)


def test_encoder_crop_equals_public_code(cases: Cases) -> None:
    """Only values that lie half way between two grey levels may be rounded the other way."""
    case = cases.arrays("alignment")
    crop = face_crop(case["frame_bgr"][..., ::-1], five_point_matrix(case["landmarks"][FIVE_OF_222]))
    away = np.abs(crop[..., ::-1].astype(int) - case["crop_bgr"])
    assert away.max() <= 1 and (away > 0).mean() < 1e-3
    np.testing.assert_allclose(encoder_input(crop).mean(axis=(1, 2)), case["crop_tensor_mean"], atol=1e-5)


def test_landmark_crop_from_box_equals_public_code(cases: Cases) -> None:
    case = cases.arrays("alignment")
    np.testing.assert_allclose(box_to_crop(case["box"]), case["box_to_crop"], rtol=0, atol=1e-9)


def test_landmark_crop_from_landmarks_equals_public_code(cases: Cases) -> None:
    case = cases.arrays("alignment")
    names = [name for name in case if name.startswith("points_to_crop_")]
    assert names
    for name in names:
        roll = float(name.removeprefix("points_to_crop_").removesuffix("deg").replace("_", "."))
        np.testing.assert_allclose(points_to_crop(case["landmarks"], roll), case[name], rtol=0, atol=1e-9)
