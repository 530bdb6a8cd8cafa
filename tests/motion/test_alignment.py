"""Crops of known pictures: points map to their targets at any place, size and roll, and mirrored."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from fantasyportrait.motion.alignment import (
    box_to_crop,
    encoder_input,
    face_crop,
    five_point_matrix,
    landmark_crop,
    mirrored_five,
    points_to_crop,
    roll_of,
    to_image,
)
from fantasyportrait.testing.tiny_onnx import tiny_face

FIVE = np.array([[86.1, 60.5], [138.9, 59.8], [112.7, 93.7], [90.9, 118.1], [133.9, 117.6]])


def noise(height: int, width: int) -> np.ndarray:
    return cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8), (0, 0), 3)


@settings(max_examples=30)
@given(st.floats(-180, 180), st.floats(0.2, 5), st.floats(-500, 500))
def test_a_moved_face_is_moved_back(roll: float, scale: float, shift: float) -> None:
    turn = cv2.getRotationMatrix2D((100, 100), roll, scale)
    turn[:, 2] += shift
    moved = FIVE @ turn[:, :2].T + turn[:, 2]
    plain, matrix = five_point_matrix(FIVE), five_point_matrix(moved)
    expected = FIVE @ plain[:, :2].T + plain[:, 2]
    np.testing.assert_allclose(moved @ matrix[:, :2].T + matrix[:, 2], expected, atol=1e-6)


def test_crop_at_integer_pixels_is_exact() -> None:
    picture = noise(300, 400)
    np.testing.assert_array_equal(face_crop(picture, np.array([[1.0, 0, -30], [0, 1, -20]])), picture[20:244, 30:254])


def test_subpixel_crop_matches_opencv_within_rounding() -> None:
    picture = noise(300, 400)
    matrix = np.array([[1.1, 0.12, -90.3], [-0.12, 1.1, -25.8]])
    rough = cv2.warpAffine(picture, matrix, (224, 224), flags=cv2.INTER_CUBIC)
    assert np.abs(face_crop(picture, matrix).astype(int) - rough).max() <= 1


def test_outside_of_the_picture_is_black() -> None:
    crop = face_crop(np.full((50, 50, 3), 200, np.uint8), np.array([[1.0, 0, 100], [0, 1, 100]]))
    assert crop[101:149, 101:149].min() == 200 and crop[:98].max() == 0 and crop[153:].max() == 0


def test_encoder_input_is_rgb_in_minus_1_to_1() -> None:
    crop = np.zeros((224, 224, 3), np.uint8)
    crop[..., 0] = 255
    planes = encoder_input(crop)
    assert planes.dtype == np.float32 and planes.shape == (3, 224, 224)
    assert planes[0].min() == 1 and planes[1:].max() == -1


def test_landmark_input_is_bgr_in_0_to_1() -> None:
    picture = np.zeros((200, 200, 3), np.uint8)
    picture[..., 0] = 255
    planes = landmark_crop(picture, box_to_crop(np.array([50, 50, 150, 150])))
    assert planes.dtype == np.float32 and planes.shape == (1, 3, 128, 128)
    assert planes[0, 2].min() == 1 and planes[0, :2].max() == 0


@settings(max_examples=30)
@given(st.floats(-80, 80), st.floats(20, 900))
def test_rotated_landmarks_round_trip_through_crop(roll: float, size: float) -> None:
    upright = tiny_face().astype(np.float64)
    turn = cv2.getRotationMatrix2D((0.5, 0.5), -roll, size)
    face = upright @ turn[:, :2].T + turn[:, 2]
    assert roll_of(face) == pytest.approx(roll, abs=1e-4)
    matrix = points_to_crop(face, roll_of(face))
    crop = face @ matrix[:, :2].T + matrix[:, 2]
    np.testing.assert_allclose(crop, upright * 128, atol=0.01)
    np.testing.assert_allclose(to_image(crop, matrix), face, atol=1e-6)


def test_mirrored_points_match_mirrored_picture() -> None:
    picture = noise(300, 400)
    five = FIVE + np.array([100, 50])
    mirror = np.ascontiguousarray(picture[:, ::-1])
    np.testing.assert_allclose(mirrored_five(mirrored_five(five, 400), 400), five)
    for point, name in ((0, 1), (2, 2), (3, 4)):
        x, y = np.round(five[point]).astype(int)
        there = mirrored_five(np.round(five), 400)[name]
        np.testing.assert_array_equal(mirror[int(there[1]), int(there[0])], picture[y, x])
