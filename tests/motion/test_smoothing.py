"""Smoothing: removes jitter, keeps movement, has no lag."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray

from fantasyportrait.faces.face_models import FaceModels
from fantasyportrait.faces.mesh import CanonicalFace
from fantasyportrait.motion.smoothing import smooth_landmarks

Points = NDArray[np.float32]
WIDTH = 150.0


@pytest.fixture(scope="module")
def face(models_dir: Path) -> Points:
    """The mean face, 150 px wide."""
    canonical: CanonicalFace = FaceModels(models_dir).canonical_face()
    return (canonical.points * (WIDTH / np.ptp(canonical.points[:, 0])) + 200).astype(np.float32)


def moved(face: Points, curve: NDArray[np.float64]) -> Points:
    """The face shifted down by a curve (T,) in px."""
    return (face + curve[:, None, None] * np.array([0, 1, 0])).astype(np.float32)


def path(points: Points) -> NDArray[np.float64]:
    """Mean height (T,) of landmarks."""
    return points[..., 1].mean(axis=1, dtype=np.float64)


def bump(frames: int, at: int, half: int) -> NDArray[np.float64]:
    """A blink-like curve (T,) 0 to 1 to 0 with its peak at `at`."""
    return np.clip(1 - np.abs(np.arange(frames) - at) / half, 0, 1)


@given(st.integers(1, 12), st.floats(-1, 0))
def test_strength_0_changes_nothing(face: Points, frames: int, strength: float) -> None:
    points = moved(face, np.random.default_rng(frames).normal(size=frames))
    np.testing.assert_array_equal(smooth_landmarks(points, strength), points)


@pytest.mark.parametrize("frames", [1, 2, 3, 50])
@pytest.mark.parametrize("strength", [0.1, 0.5, 1.0])
def test_a_face_at_rest_stays_at_rest(face: Points, frames: int, strength: float) -> None:
    still = np.repeat(face[None], frames, axis=0)
    smooth = smooth_landmarks(still, strength)
    assert smooth.shape == still.shape and smooth.dtype == np.float32
    np.testing.assert_allclose(smooth, still, atol=1e-3)


def test_jitter_shrinks_with_strength(face: Points) -> None:
    noise = np.random.default_rng(3).normal(0, 0.002 * WIDTH, (200, *face.shape))
    noisy = (face + noise).astype(np.float32)
    left = [float((smooth_landmarks(noisy, strength) - face).std()) for strength in (0.0, 0.25, 0.5, 1.0)]
    assert left == sorted(left, reverse=True)
    assert left[-1] < 0.6 * left[0] and left[2] < 0.8 * left[0]


@pytest.mark.parametrize("half", [4, 8, 15])
def test_a_blink_keeps_its_height_and_its_frame(face: Points, half: int) -> None:
    size, at = 0.06 * WIDTH, 30
    curve = path(smooth_landmarks(moved(face, size * bump(60, at, half)), 0.5)) - path(face[None])
    assert curve.argmax() == at
    assert curve.max() >= 0.8 * size
    assert abs(curve[0]) < 0.1 * size and abs(curve[-1]) < 0.1 * size


def test_step_keeps_height_and_place(face: Points) -> None:
    step = np.where(np.arange(60) < 30, 0.0, 0.1 * WIDTH)
    curve = path(smooth_landmarks(moved(face, step), 0.5)) - path(face[None])
    assert curve[50] - curve[10] > 0.97 * 0.1 * WIDTH
    halfway = int(np.argmax(curve > 0.05 * WIDTH))
    assert abs(halfway - 30) <= 1
    assert (np.diff(curve) > -1e-3).all(), "no overshoot"


@settings(max_examples=20)
@given(st.integers(0, 1000), st.floats(0.05, 1))
def test_smoothing_is_time_symmetric_and_scale_invariant(face: Points, seed: int, strength: float) -> None:
    random = np.random.default_rng(seed)
    points = (face + np.cumsum(random.normal(0, 1, (15, 1, 3)), axis=0)).astype(np.float32)
    smooth = smooth_landmarks(points, strength)
    np.testing.assert_allclose(smooth_landmarks(points[::-1], strength)[::-1], smooth, atol=1e-3)
    np.testing.assert_allclose(smooth_landmarks(points * 4, strength), smooth * 4, atol=0.01)
    assert (smooth >= points.min(axis=0) - 1e-2).all() and (smooth <= points.max(axis=0) + 1e-2).all()


def test_points_do_not_pull_each_other(face: Points) -> None:
    points = np.repeat(face[None], 40, axis=0)
    points[:, 13, 1] += (0.06 * WIDTH * bump(40, 20, 5)).astype(np.float32)
    away = np.abs(smooth_landmarks(points, 0.8) - face)
    away[:, 13] = 0
    assert away.max() < 1e-3
