"""Motion of a face before a camera: the neutral face, smoothing without looking ahead, gaps."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fantasyportrait.faces.face_models import FaceModels
from fantasyportrait.faces.live_tracker import LiveReading
from fantasyportrait.faces.mesh import CanonicalFace, lip_opening
from fantasyportrait.motion.blendshapes import blendshape_basis
from fantasyportrait.motion.live_motion import CALIBRATION_S, LiveMotion
from fantasyportrait.motion.smoothing import OneEuroFilter, smooth_landmarks

RATE = 15.0
JAW_OPEN = 25


@pytest.fixture(scope="module")
def canonical(models_dir: Path) -> CanonicalFace:
    return FaceModels(models_dir).canonical_face()


def _reading(canonical: CanonicalFace, jaw: float = 0.0, shift: float = 0.0) -> LiveReading:
    points = 12 * (canonical.points + jaw * blendshape_basis(canonical)[JAW_OPEN]) + np.array([320 + shift, 240, 0])
    scores = np.zeros(52, np.float32)
    scores[JAW_OPEN] = jaw
    return LiveReading(points.astype(np.float32), scores, np.full((48, 80, 3), int(200 * jaw), np.uint8))


def _fed(motion: LiveMotion, readings: list[LiveReading], start_s: float = 0.0) -> list[NDArray[np.float32] | None]:
    shown = []
    for number, reading in enumerate(readings):
        motion.update(reading, start_s + number / RATE)
        shown.append(None if motion.motion is None else motion.motion.landmarks[0])
    return shown


def test_neutral_is_calmest_face_of_first_second(canonical: CanonicalFace) -> None:
    motion = LiveMotion(canonical, smoothing=0.0)
    jaws = [0.6, 0.5, 0.4, 0.02, 0.02, 0.02, 0.3, 0.6] + [0.8] * 20
    shown = _fed(motion, [_reading(canonical, jaw) for jaw in jaws])
    first = next(number for number, points in enumerate(shown) if points is not None)
    assert first == pytest.approx(CALIBRATION_S * RATE, abs=1)
    assert motion.calibrated and motion.motion is not None
    shut = float(lip_opening(canonical.points))
    assert lip_opening(motion.motion.neutral) < shut + 0.05
    assert lip_opening(motion.motion.landmarks[0]) > shut + 0.2
    mouth = motion.motion.mouth(0)
    assert mouth is not None and mouth[0, 0, 0] == 160
    assert len(motion.motion.mouths if motion.motion.mouths is not None else ()) == 16


def test_motion_begins_at_neutral_and_follows_within_a_third_of_a_second(canonical: CanonicalFace) -> None:
    motion = LiveMotion(canonical)
    readings = [_reading(canonical)] * 10 + [_reading(canonical, 0.7)] * 20
    shown = [points for points in _fed(motion, readings) if points is not None]
    opening = [float(lip_opening(points) - lip_opening(canonical.points)) for points in shown]
    assert opening[0] < 0.1 * opening[-1]
    assert min(np.diff(opening)) > -0.01 and opening[6] > 0.9 * opening[-1], opening


def test_recalibration_takes_another_neutral(canonical: CanonicalFace) -> None:
    motion = LiveMotion(canonical)
    _fed(motion, [_reading(canonical)] * 20)
    assert motion.motion is not None
    before = motion.motion.neutral
    motion.recalibrate()
    assert not motion.calibrated and motion.motion is None
    _fed(motion, [_reading(canonical, shift=40)] * 20, start_s=2.0)
    assert motion.motion is not None
    np.testing.assert_allclose(motion.motion.neutral - before, np.tile([40, 0, 0], (478, 1)), atol=1.0)


def test_face_after_a_gap_is_blended_in(canonical: CanonicalFace) -> None:
    motion = LiveMotion(canonical)
    before = _fed(motion, [_reading(canonical)] * 30)[-1]
    after = _fed(motion, [_reading(canonical, shift=60)] * 8, start_s=5.0)
    assert before is not None
    away = [float((points - before)[:, 0].mean()) for points in after if points is not None]
    assert away[0] < 1 and away == sorted(away) and away[-1] > 59


def test_filter_at_frame_steps_is_the_forward_half_of_smoothing() -> None:
    rng = np.random.default_rng(3)
    rows = (rng.normal(0, 1, (40, 5, 3)) + np.linspace(0, 30, 40)[:, None, None]).astype(np.float32)
    size = float(np.median(np.ptp(rows[:, :, 0], axis=1)))

    def forward(ordered: NDArray[np.float32]) -> NDArray[np.float64]:
        one_euro = OneEuroFilter(ordered[0], size, 0.5)
        places = [one_euro.place]
        for row in ordered[1:]:
            one_euro.step(row)
            places.append(one_euro.place)
        return np.stack(places)

    both = (forward(rows) + forward(rows[::-1])[::-1]) / 2 * size
    np.testing.assert_array_equal(smooth_landmarks(rows, 0.5), both.astype(np.float32))


def test_longer_step_follows_further() -> None:
    start, end = np.zeros((4, 3), np.float32), np.ones((4, 3), np.float32)
    reached = []
    for frames in (0.5, 1.0, 2.0):
        one_euro = OneEuroFilter(start, 100.0, 0.5)
        one_euro.step(end, frames)
        reached.append(float(one_euro.place.mean()))
    assert 0 < reached[0] < reached[1] < reached[2] < 0.01
