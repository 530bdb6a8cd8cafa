"""The original detector: its steps, and its network as a `Detector`."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from fantasyportrait.core.errors import WeightsError
from fantasyportrait.core.geometry import box_iou
from fantasyportrait.faces.landmarks import Crop
from fantasyportrait.faces.original_detector import STRIDES, OriginalDetector, decode, letterbox, net_input, to_image
from fantasyportrait.testing.tiny_onnx import write_tiny_detector
from tests.factories_onnx import write_constant_net

CELLS = (34 * 20, 17 * 10, 9 * 5)


def raw(found: dict[tuple[int, int], tuple[float, int]]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Raw outputs with the given cells: (stride index, cell) to (score, distance of every side in strides)."""
    scores = [np.full(count, 0.1, np.float32) for count in CELLS]
    distances = [np.zeros((count, 32), np.float32) for count in CELLS]
    for (index, cell), (score, distance) in found.items():
        scores[index][cell] = score
        distances[index][cell].reshape(4, 8)[:, distance] = 50
    return scores, distances


@given(st.integers(20, 3000), st.integers(20, 3000))
def test_a_picture_is_fitted_and_centred(height: int, width: int) -> None:
    matrix = letterbox(height, width)
    corners = np.array([[0, 0], [width, height]]) @ matrix[:2, :2].T + matrix[:2, 2]
    assert corners.min() >= -1e-9 and (corners[1] <= np.array([160, 272]) + 1e-9).all()
    np.testing.assert_allclose(corners.sum(axis=0), [160, 272])
    sizes = corners[1] - corners[0]
    assert np.isclose(sizes[0], 160) or np.isclose(sizes[1], 272)


def test_detector_input_is_bgr_with_black_bars() -> None:
    pixels = np.full((100, 160, 3), (255, 0, 0), np.uint8)
    planes = net_input(pixels, letterbox(100, 160))
    assert planes.shape == (1, 3, 272, 160) and planes.dtype == np.float32
    np.testing.assert_allclose(
        planes[0, :, 136, 80], [-103.53 / 57.375, -116.28 / 57.12, (255 - 123.675) / 58.395], rtol=1e-5
    )
    np.testing.assert_allclose(planes[0, 2, 10], -123.675 / 58.395, rtol=1e-5)


@pytest.mark.parametrize(("index", "cell"), [(0, 5 * 20 + 7), (1, 5 * 10 + 7), (2, 5 * 5 + 3)])
def test_a_cell_becomes_a_box_around_its_corner(index: int, cell: int) -> None:
    boxes, scores = decode(*raw({(index, cell): (0.8, 2)}))
    stride, columns = STRIDES[index], 160 // STRIDES[index]
    x, y = cell % columns * stride, cell // columns * stride
    np.testing.assert_allclose(boxes, [[x - 2 * stride, y - 2 * stride, x + 2 * stride, y + 2 * stride]])
    np.testing.assert_allclose(scores, [0.8], rtol=1e-6)


def test_nms_drops_weak_and_overlapping_boxes() -> None:
    found = {(1, 55): (0.5, 3), (1, 56): (0.9, 3), (1, 155): (0.41, 3), (0, 0): (0.39, 3)}
    boxes, scores = decode(*raw(found))
    np.testing.assert_allclose(scores, [0.9, 0.41], rtol=1e-6)
    assert boxes[0, 0] == 6 * 16 - 48 and len(boxes) == 2


def test_no_face_is_an_empty_list() -> None:
    boxes, scores = decode(*raw({}))
    assert boxes.shape == (0, 4) and scores.shape == (0,)
    assert to_image(boxes, letterbox(100, 100), 100, 100).shape == (0, 4)


@settings(max_examples=20)
@given(st.integers(50, 900), st.integers(50, 900))
def test_boxes_come_back_to_the_pictures_pixels(height: int, width: int) -> None:
    matrix = letterbox(height, width)
    whole = np.array([[0, 0, width, height]], np.float64)
    corners = whole.reshape(2, 2) @ matrix[:2, :2].T + matrix[:2, 2]
    grown = corners.reshape(1, 4) + np.array([-9, -9, 9, 9])
    np.testing.assert_array_equal(to_image(grown, matrix, width, height), whole.astype(np.int32))


def test_tiny_net_finds_face_in_light(tmp_path: Path) -> None:
    write_tiny_detector(tmp_path / "face_det.onnx")
    detector = OriginalDetector(tmp_path / "face_det.onnx")
    (face,) = detector.detect(np.full((480, 640, 3), 90, np.uint8))
    assert face.score == pytest.approx(0.9) and box_iou(face.box, np.array([95, 15, 416, 400])) > 0.98
    # Without eyes a face is assumed upright.
    assert face.eyes[0, 0] < face.eyes[1, 0] and Crop.of_detection(face).roll == 0
    assert detector.detect(np.zeros((480, 640, 3), np.uint8)) == []


def test_output_order_is_free_and_other_nets_are_refused(tmp_path: Path) -> None:
    scores, distances = raw({(2, 22): (0.9, 2)})
    outputs = [each[None] for each in [*distances[::-1], *scores]]
    pixels = np.full((272, 160, 3), 90, np.uint8)
    (face,) = OriginalDetector(write_constant_net(tmp_path / "a.onnx", (1, 3, 272, 160), outputs)).detect(pixels)
    np.testing.assert_array_equal(face.box, [0, 64, 128, 192])
    other = OriginalDetector(write_constant_net(tmp_path / "b.onnx", (1, 3, 272, 160), outputs[:-1]))
    with pytest.raises(WeightsError, match=r"distances \(680, 32\)"):
        other.detect(pixels)
