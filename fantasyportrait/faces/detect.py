"""Face detectors: CenterFace for photos (slow, finds every face), BlazeFace for video frames (5 ms a frame)."""

from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from fantasyportrait.faces.dnn_net import DnnNet

CENTERFACE_SIDE = 640
"""The longer side in pixels of CenterFace's input."""

_BLAZE_SIDE = 192
_BLAZE_GRID = 48
_CENTER_STRIDE = 4


@dataclass(frozen=True)
class Detection:
    """One detected face.

    Attributes:
        box: float32 (4,) xyxy, pixels of the image searched.
        score: 0 to 1.
        eyes: float32 (2, 2) xy of the eye at the left and at the right of the image.
    """

    box: NDArray[np.float32]
    score: float
    eyes: NDArray[np.float32]

    @classmethod
    def with_level_eyes(cls, box: NDArray[np.float32], score: float) -> "Detection":
        """Return a detection for a detector without eyes: they are assumed level at 40 % of the box's height."""
        left, top, right, bottom = np.asarray(box, np.float32)
        across, height = left + (right - left) * np.array([0.3, 0.7]), top + (bottom - top) * 0.4
        eyes = np.stack([across, np.full(2, height)], axis=1)
        return cls(np.asarray(box, np.float32), score, eyes.astype(np.float32))


class Detector(Protocol):
    """A face detector."""

    def detect(self, pixels: NDArray[np.uint8]) -> list[Detection]:
        """Faces of an RGB image (H, W, 3), best first."""
        ...


class CenterFace:
    """CenterFace (ONNX): finds small and turned faces. The image is scaled to 640 px on its longest side."""

    def __init__(self, net: DnnNet, side: int = CENTERFACE_SIDE, threshold: float = 0.45) -> None:
        self._net = net
        self._side = side
        self._threshold = threshold

    def detect(self, pixels: NDArray[np.uint8]) -> list[Detection]:
        """Faces of an RGB image (H, W, 3), best first."""
        height, width = pixels.shape[:2]
        ratio = self._side / max(height, width)
        net_size = (int(np.ceil(width * ratio / 32)) * 32, int(np.ceil(height * ratio / 32)) * 32)
        outputs = self._net.run(cv2.dnn.blobFromImage(np.ascontiguousarray(pixels), 1.0, net_size))
        heat, scale, offset, points = (output[0] for output in outputs)
        rows, columns = np.nonzero(heat[0] > self._threshold)
        size = np.exp(scale[:, rows, columns]) * _CENTER_STRIDE
        top = (rows + offset[0, rows, columns] + 0.5) * _CENTER_STRIDE - size[0] / 2
        left = (columns + offset[1, rows, columns] + 0.5) * _CENTER_STRIDE - size[1] / 2
        back = np.array([width / net_size[0], height / net_size[1]])
        found = []
        for i, (row, column) in enumerate(zip(rows, columns, strict=True)):
            box = np.array([left[i], top[i], left[i] + size[1, i], top[i] + size[0, i]]) * np.tile(back, 2)
            eyes = points[:4, row, column].reshape(2, 2)[:, ::-1] * size[::-1, i] + [left[i], top[i]]
            found.append(
                Detection(box.astype(np.float32), float(heat[0, row, column]), (eyes * back).astype(np.float32))
            )
        return non_max_suppression(found)


class BlazeFace:
    """BlazeFace full range (TFLite): one pass over a frame, letterboxed to 192 px."""

    def __init__(self, net: DnnNet, threshold: float = 0.5) -> None:
        self._net = net
        self._threshold = threshold

    def detect(self, pixels: NDArray[np.uint8]) -> list[Detection]:
        """Return the faces of an RGB frame (H, W, 3), best first."""
        height, width = pixels.shape[:2]
        ratio = _BLAZE_SIDE / max(height, width)
        small = cv2.resize(pixels, (round(width * ratio), round(height * ratio)), interpolation=cv2.INTER_AREA)
        canvas = np.full((_BLAZE_SIDE, _BLAZE_SIDE, 3), 127, np.uint8)
        canvas[: small.shape[0], : small.shape[1]] = small
        logits, boxes = self._net.run(cv2.dnn.blobFromImage(canvas, 1 / 127.5, mean=(127.5, 127.5, 127.5)))
        scores = 1 / (1 + np.exp(-np.clip(logits[0, :, 0], -50, 50)))
        found = []
        for i in np.nonzero(scores > self._threshold)[0]:
            anchor = (np.array([i % _BLAZE_GRID, i // _BLAZE_GRID]) + 0.5) * (_BLAZE_SIDE / _BLAZE_GRID)
            centre, size = anchor + boxes[0, i, :2], boxes[0, i, 2:4]
            box = np.concatenate([centre - size / 2, centre + size / 2]) / ratio
            eyes = (boxes[0, i, 4:8].reshape(2, 2) + anchor) / ratio
            found.append(Detection(box.astype(np.float32), float(scores[i]), eyes.astype(np.float32)))
        return non_max_suppression(found)


def non_max_suppression(found: list[Detection], overlap: float = 0.3) -> list[Detection]:
    """Non-maximum suppression, best first."""
    if not found:
        return []
    boxes = np.array([d.box for d in found])
    xywh = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
    kept = cv2.dnn.NMSBoxes(xywh.tolist(), [d.score for d in found], 0.0, overlap)
    return [found[int(i)] for i in kept]
