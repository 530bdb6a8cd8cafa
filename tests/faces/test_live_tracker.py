"""The tracker of a camera's face: the largest one, searched for only when it is lost."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fantasyportrait.core.geometry import bounding_box
from fantasyportrait.faces.detect import BlazeFace
from fantasyportrait.faces.face_models import FaceModels
from fantasyportrait.faces.live_tracker import LiveTracker


@pytest.fixture(scope="module")
def models(models_dir: Path) -> FaceModels:
    return FaceModels(models_dir)


@pytest.fixture(scope="module")
def pair(two_person: Path) -> NDArray[np.uint8]:
    photo = cv2.cvtColor(cv2.imread(str(two_person)), cv2.COLOR_BGR2RGB)
    return np.asarray(cv2.resize(photo, (640, 360), interpolation=cv2.INTER_AREA), np.uint8)


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one with each search."""
    counted: list[int] = []
    detect = BlazeFace.detect
    monkeypatch.setattr(
        BlazeFace,
        "detect",
        lambda self, pixels: counted.append(1) or detect(self, pixels),  # type: ignore[func-returns-value]
    )
    return counted


def _shifted(pixels: NDArray[np.uint8], across: int) -> NDArray[np.uint8]:
    matrix = np.array([[1.0, 0, across], [0, 1.0, 0]])
    return np.asarray(cv2.warpAffine(pixels, matrix, pixels.shape[1::-1], borderMode=cv2.BORDER_REPLICATE), np.uint8)


def test_moving_face_is_tracked_with_few_searches(
    models: FaceModels, pair: NDArray[np.uint8], searches: list[int]
) -> None:
    tracker = LiveTracker(models)
    left = np.ascontiguousarray(pair[:, :320])
    places = []
    for number in range(40):
        reading = tracker.update(_shifted(left, 2 * number))
        assert reading is not None
        assert reading.landmarks.shape == (478, 3) and reading.blendshapes.shape == (52,)
        assert reading.mouth.shape == (48, 80, 3)
        places.append(float(reading.landmarks[1, 0]))
    np.testing.assert_allclose(np.diff(places), 2, atol=1.0)
    assert len(searches) == 2


def test_empty_frame_has_no_face_and_every_one_is_searched(
    models: FaceModels, pair: NDArray[np.uint8], searches: list[int]
) -> None:
    tracker = LiveTracker(models)
    assert tracker.update(pair) is not None
    found = len(searches)
    empty = np.full((360, 640, 3), 90, np.uint8)
    assert [tracker.update(empty) for _ in range(3)] == [None] * 3
    assert len(searches) == found + 3
    assert tracker.update(pair) is not None


def test_much_larger_face_takes_over(models: FaceModels, pair: NDArray[np.uint8]) -> None:
    tracker = LiveTracker(models)
    left, right = np.ascontiguousarray(pair[:, :320]), np.ascontiguousarray(pair[:, 320:])
    small = np.full((360, 640, 3), 90, np.uint8)
    small[100:280, 40:200] = cv2.resize(left, (160, 180), interpolation=cv2.INTER_AREA)
    both = small.copy()
    both[:, 320:] = right
    first = tracker.update(small)
    assert first is not None and bounding_box(first.landmarks)[2] < 320
    readings = [tracker.update(both) for _ in range(31)]
    kept, last = readings[0], readings[-1]
    assert kept is not None and bounding_box(kept.landmarks)[2] < 320
    assert last is not None and bounding_box(last.landmarks)[0] > 320
