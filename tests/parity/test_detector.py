"""The original detector's input and boxes are the public code's."""

import numpy as np

from fantasyportrait.faces.original_detector import STRIDES, decode, letterbox, net_input, to_image
from tests.parity.cases import Cases


def test_detector_input_equals_public_code(cases: Cases) -> None:
    case = cases.arrays("detector")
    rgb = case["image_bgr"][..., ::-1]
    matrix = letterbox(*rgb.shape[:2])
    np.testing.assert_allclose(matrix, case["resize_matrix"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(net_input(rgb, matrix)[..., ::8, ::8], case["network_input_subsampled"], atol=1e-6)


def test_detector_boxes_equal_public_code(cases: Cases) -> None:
    case = cases.arrays("detector")
    every = range(len(STRIDES))
    scores = [case[f"raw_scores_{index}"] for index in every]
    boxes, kept = decode(scores, [case[f"raw_distances_{index}"] for index in every])
    height, width = case["image_bgr"].shape[:2]
    np.testing.assert_array_equal(to_image(boxes, case["resize_matrix"], width, height), case["boxes"])
    np.testing.assert_allclose(kept, case["scores"], atol=1e-6)
