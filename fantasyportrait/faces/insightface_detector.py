"""insightface's SCRFD as a `Detector`: opt-in, because its models may not be used commercially."""

import io
import os
import threading
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.errors import WeightsError
from fantasyportrait.core.optional import require
from fantasyportrait.faces.detect import Detection

LICENCE = (
    "insightface's models are for non-commercial research only (its code is MIT): "
    "choose the detector centerface for anything else"
)
"""The message that is shown whenever this detector is chosen."""

_PACK = "buffalo_l"
_ON_CPU = -1


class InsightFace:
    """insightface's `FaceAnalysis`, detection only. It keeps its models in a folder of its own, and fetches them.

    Raises DependencyError without the package, WeightsError where its models cannot be had.
    """

    def __init__(self, root: Path | None = None, threshold: float = 0.5, side: int = 640) -> None:
        """`root`: the folder of insightface's models (default: its own). Images are scaled to `side` px, 32 n."""
        self._lock = threading.Lock()  # its package does not say that threads may share it
        app = require("insightface.app", extra="insightface", purpose="the detector insightface")
        try:
            with redirect_stdout(io.StringIO()):  # it prints what it loads into the output of the commands
                self._analysis = app.FaceAnalysis(
                    name=_PACK,
                    root=str(root) if root else os.path.join("~", ".insightface"),
                    allowed_modules=["detection"],
                    providers=["CPUExecutionProvider"],
                )
                self._analysis.prepare(ctx_id=_ON_CPU, det_thresh=threshold, det_size=(side, side))
        except Exception as error:  # it checks with `assert` and downloads with errors of several packages
            raise WeightsError(
                "the models of insightface ({pack}) cannot be loaded ({reason}): "
                "let it fetch them once while the network is there, or choose the detector centerface",
                pack=_PACK,
                reason=str(error) or type(error).__name__,
            ) from error

    def detect(self, pixels: NDArray[np.uint8]) -> list[Detection]:
        """Faces of an RGB image (H, W, 3), best first."""
        with self._lock:
            faces = self._analysis.get(np.ascontiguousarray(pixels[..., ::-1]))
        found = [_detection(face.bbox, face.det_score, face.kps) for face in faces]
        return sorted(found, key=lambda detection: -detection.score)


def _detection(box: NDArray[np.float32], score: float, keypoints: NDArray[np.float32] | None) -> Detection:
    """Convert a detection: the first two of insightface's five key points are the eyes, the left of the image first."""
    if keypoints is None:
        return Detection.with_level_eyes(np.asarray(box, np.float32), float(score))
    return Detection(np.asarray(box, np.float32), float(score), np.asarray(keypoints[:2], np.float32))
