"""Tracking of one face through the frames of a camera, each as soon as it comes."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.geometry import bounding_box, box_iou
from fantasyportrait.faces.detect import Detection
from fantasyportrait.faces.face_models import FaceModels
from fantasyportrait.faces.landmarks import Crop
from fantasyportrait.faces.mouth_texture import mouth_patch

# Frames between two searches for a larger face while one is tracked; without one every frame is searched.
_SEARCH_EVERY = 30
# Another face takes over when its box is longer by this factor: someone who steps in front of the camera.
_MUCH_LARGER = 1.5
_SMALLEST = 32


@dataclass(frozen=True)
class LiveReading:
    """The face in one frame of a camera.

    Attributes:
        landmarks: float32 (478, 3), pixels of the frame.
        blendshapes: float32 (52,).
        mouth: uint8 (48, 80, 3) RGB, the mouth's inside, see `faces.mouth_texture`.
    """

    landmarks: NDArray[np.float32]
    blendshapes: NDArray[np.float32]
    mouth: NDArray[np.uint8]


class LiveTracker:
    """Tracks the largest face, in the crop around its last landmarks; the detector runs when the face is lost, and
    now and then for a larger one. Not thread-safe."""

    def __init__(self, models: FaceModels) -> None:
        self._detector = models.frame_detector()
        self._net = models.landmark_net()
        self._last: NDArray[np.float32] | None = None
        self._velocity = np.zeros(2)
        self._since_search = 0

    def update(self, pixels: NDArray[np.uint8]) -> LiveReading | None:
        """The face in the next RGB frame uint8 (H, W, 3); None where there is none of at least 32 px."""
        points = self._tracked(pixels)
        self._since_search += 1
        if points is None or self._since_search >= _SEARCH_EVERY:
            self._since_search = 0
            points = self._searched(pixels, points)
        moved = np.zeros(2) if points is None or self._last is None else _centre(points) - _centre(self._last)
        self._last, self._velocity = points, moved
        if points is None:
            return None
        return LiveReading(points, self._net.blendshapes(points), mouth_patch(pixels, points))

    def _tracked(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        """The landmarks of the face of the last frame in this one."""
        if self._last is None:
            return None
        crop = Crop.of_landmarks(self._last)
        return self._read(pixels, replace(crop, centre=crop.centre + 0.7 * self._velocity), passes=1)

    def _searched(self, pixels: NDArray[np.uint8], known: NDArray[np.float32] | None) -> NDArray[np.float32] | None:
        """The landmarks of the largest face: of `known` unless another one is much larger."""
        found = sorted(self._detector.detect(pixels), key=_side, reverse=True)
        if known is not None:
            box = bounding_box(known)
            limit = _MUCH_LARGER * float(max(box[2:] - box[:2]))
            found = [each for each in found if _side(each) > limit and box_iou(each.box, box) < 0.3]
        for each in found:
            points = self._read(pixels, Crop.of_detection(each), passes=3)
            if points is not None:
                self._last = None  # no velocity from one face to another
                return points
        return known

    def _read(self, pixels: NDArray[np.uint8], crop: Crop, passes: int) -> NDArray[np.float32] | None:
        reading = self._net.fit(pixels, crop, passes)
        if reading is None:
            return None
        box, centre = bounding_box(reading.points), _centre(reading.points)
        inside = (centre >= 0).all() and (centre < pixels.shape[1::-1]).all()
        return reading.points if inside and max(box[2:] - box[:2]) >= _SMALLEST else None


def _side(detection: Detection) -> float:
    return float(max(detection.box[2:] - detection.box[:2]))


def _centre(points: NDArray[np.float32]) -> NDArray[np.float64]:
    box = bounding_box(points).astype(np.float64)
    return np.asarray((box[:2] + box[2:]) / 2)
