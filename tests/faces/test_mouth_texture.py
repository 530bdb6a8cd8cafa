"""The mouth's texture and the lip points inside it."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fantasyportrait.faces.face_models import FaceModels
from fantasyportrait.faces.mesh import INNER_LIPS
from fantasyportrait.faces.mouth_texture import mouth_patch, mouth_points
from fantasyportrait.schema.face import Face


@pytest.fixture
def face(models_dir: Path) -> NDArray[np.float32]:
    """The canonical face in pixels, its mouth opened a little."""
    points = FaceModels(models_dir).canonical_face().points * 20 + np.array([200, 180, 0], np.float32)
    points[INNER_LIPS[11:], 1] += 15
    return points.astype(np.float32)


def test_lips_are_centred_with_level_corners(face: NDArray[np.float32]) -> None:
    points = mouth_points(face)
    assert points.shape == (20, 2)
    assert points[10, 0] - points[0, 0] == pytest.approx(80 / 1.3, abs=0.01)
    assert points[10, 1] == pytest.approx(points[0, 1], abs=0.01)
    np.testing.assert_allclose((points.min(axis=0) + points.max(axis=0)) / 2, [39.5, 23.5], atol=0.01)


def test_points_invariant_to_rotation_and_scale(face: NDArray[np.float32]) -> None:
    angle = 0.6
    turn = 2.5 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]], np.float32)
    moved = np.column_stack([face[:, :2] @ turn.T + 30, face[:, 2]])
    np.testing.assert_allclose(mouth_points(moved), mouth_points(face), atol=0.01)


def test_a_tall_mouth_fits(face: NDArray[np.float32]) -> None:
    face[INNER_LIPS[11:], 1] += 90
    points = mouth_points(face)
    assert points.min() >= 0
    assert (points.max(axis=0) < [80, 48]).all()
    assert np.ptp(points[:, 1]) == pytest.approx(48 / 1.3, abs=0.01)


@pytest.mark.parametrize("scale", [0.4, 1.0, 4.0])
def test_patch_matches_mouth_points(face: NDArray[np.float32], scale: float) -> None:
    face = face * scale
    x, y = np.meshgrid(np.arange(400 * scale), np.arange(400 * scale))
    lips = face[INNER_LIPS, :2]
    low, high = lips.min(axis=0) - 40 * scale, lips.max(axis=0) + 40 * scale
    ramp = np.stack([(x - low[0]) / (high - low)[0], (y - low[1]) / (high - low)[1], 0 * x], axis=-1)
    patch = mouth_patch(np.clip(np.round(255 * ramp), 0, 255).astype(np.uint8), face).astype(np.float32)
    points = mouth_points(face)
    there = cv2.remap(patch, points[None], None, cv2.INTER_LINEAR)[0, :, :2] / 255 * (high - low) + low
    np.testing.assert_allclose(there, lips, atol=0.6 * scale)


def test_the_patch_of_a_photo_shows_the_photo(photo: NDArray[np.uint8], faces: tuple[Face, ...]) -> None:
    for face in faces:
        patch = mouth_patch(photo, face.landmarks)
        assert patch.shape == (48, 80, 3)
        assert patch.dtype == np.uint8
        here = cv2.remap(patch, mouth_points(face.landmarks)[None], None, cv2.INTER_LINEAR)
        there = cv2.remap(photo, face.landmarks[None, INNER_LIPS, :2], None, cv2.INTER_LINEAR)
        assert np.abs(here.astype(float) - there).mean() < 12
