"""The insightface detector, with a fake package: the real one cannot be installed together with headless OpenCV."""

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fantasyportrait.core.errors import DependencyError, WeightsError
from fantasyportrait.faces.detect import Detector
from fantasyportrait.faces.insightface_detector import LICENCE, InsightFace

CALLS: list[dict[str, Any]] = []
KEYPOINTS = np.array([[30, 40], [60, 42], [45, 60], [33, 75], [58, 76]], np.float32)


class FaceAnalysis:
    """Shaped like insightface 0.7's: chatty, BGR in, faces with `bbox`, `det_score` and `kps` out."""

    def __init__(self, name: str, root: str, allowed_modules: list[str], **options: Any) -> None:
        CALLS.append({"name": name, "root": root, "allowed_modules": allowed_modules, **options})
        print("find model: detection")

    def prepare(self, ctx_id: int, det_thresh: float = 0.5, det_size: tuple[int, int] = (640, 640)) -> None:
        print("set det-size:", det_size)
        CALLS.append({"ctx_id": ctx_id, "det_thresh": det_thresh, "det_size": det_size})

    def get(self, image: np.ndarray, max_num: int = 0) -> list[SimpleNamespace]:
        CALLS.append({"image": image})
        box = np.array([20, 20, 70, 90], np.float32)
        return [
            SimpleNamespace(bbox=box, det_score=np.float32(0.6), kps=None),
            SimpleNamespace(bbox=box + 100, det_score=np.float32(0.9), kps=KEYPOINTS + 100),
        ]


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A package `insightface` with its `app`."""
    CALLS.clear()
    package, app = ModuleType("insightface"), ModuleType("insightface.app")
    app.FaceAnalysis = FaceAnalysis  # type: ignore[attr-defined]
    package.app = app  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "insightface", package)
    monkeypatch.setitem(sys.modules, "insightface.app", app)
    return app


def test_faces_best_first_with_the_eyes_it_found(package: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    detector: Detector = InsightFace()
    pixels = np.full((200, 300, 3), (255, 0, 0), np.uint8)
    best, other = detector.detect(pixels)
    assert (best.score, other.score) == pytest.approx((0.9, 0.6))
    np.testing.assert_array_equal(best.eyes, KEYPOINTS[:2] + 100)
    np.testing.assert_array_equal(best.box, [120, 120, 170, 190])
    assert other.eyes[0, 1] == other.eyes[1, 1] and other.eyes[0, 0] < other.eyes[1, 0]
    assert CALLS[-1]["image"][0, 0].tolist() == [0, 0, 255], "it takes BGR"
    assert CALLS[0]["allowed_modules"] == ["detection"]
    assert capsys.readouterr().out == "", "what it prints would spoil the output of a command"


def test_missing_models_error_advises(package: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(package, "FaceAnalysis", refuse)
    with pytest.raises(WeightsError, match=r"AssertionError.*choose the detector centerface"):
        InsightFace()


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "insightface", None)
    with pytest.raises(DependencyError, match=r"insightface.*fantasyportrait\[insightface\]"):
        InsightFace()


def test_the_licence_says_what_may_not_be_done() -> None:
    assert "non-commercial" in LICENCE
