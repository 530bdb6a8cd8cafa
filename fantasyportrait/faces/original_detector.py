"""The original face detector (NanoDet style, `face_det.onnx`).

Every step is a function of its own, so that tests compare each with the original numbers.
"""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.geometry import box_iou
from fantasyportrait.faces.detect import Detection
from fantasyportrait.faces.onnx_net import OnnxNet

NET_SIZE = (272, 160)
"""Height and width of the net's input."""

STRIDES = (8, 16, 32)
_BINS = 8
_SCORE = 0.4
_OVERLAP = 0.3
# Of blue, green and red, in the range 0 to 1.
_MEAN = np.array([103.53, 116.28, 123.675], np.float32) / 255
_STD = np.array([57.375, 57.12, 58.395], np.float32) / 255


class OriginalDetector:
    """The original detector as a `Detector`; it returns no eyes, so they are assumed level."""

    def __init__(self, model: Path) -> None:
        self._net = OnnxNet(model, (1, 3, *NET_SIZE))

    def detect(self, pixels: NDArray[np.uint8]) -> list[Detection]:
        """Faces of an RGB image (H, W, 3), best first. Raises WeightsError where the net is another one."""
        matrix = letterbox(pixels.shape[0], pixels.shape[1])
        scores, distances = self._by_stride(self._net.run(net_input(pixels, matrix)))
        boxes, kept = decode(scores, distances)
        whole = to_image(boxes, matrix, pixels.shape[1], pixels.shape[0])
        found = zip(whole, kept, strict=True)
        return [Detection.with_level_eyes(box.astype(np.float32), float(score)) for box, score in found]

    def _by_stride(
        self, outputs: list[NDArray[np.float32]]
    ) -> tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]]:
        """Scores (N,) and distance logits (N, 32) of each stride, found by their sizes: all six differ."""
        by_size = {output.size: output for output in outputs}
        cells = [_cells(stride).shape[0] for stride in STRIDES]
        try:
            scores = [by_size[count].reshape(count) for count in cells]
            distances = [by_size[count * 4 * _BINS].reshape(count, 4 * _BINS) for count in cells]
        except KeyError as error:
            wanted = ", ".join(f"scores ({count},) and distances ({count}, {4 * _BINS})" for count in cells)
            raise self._net.output_error(outputs, wanted) from error
        return scores, distances


def letterbox(height: int, width: int) -> NDArray[np.float64]:
    """Matrix (3, 3) from pixels of an image to the net's: scaled to fit, centred."""
    scale = min(NET_SIZE[0] / height, NET_SIZE[1] / width)
    shift = np.array([NET_SIZE[1] - scale * width, NET_SIZE[0] - scale * height]) / 2
    return np.array([[scale, 0, shift[0]], [0, scale, shift[1]], [0, 0, 1]])


def net_input(pixels: NDArray[np.uint8], matrix: NDArray[np.float64]) -> NDArray[np.float32]:
    """An RGB image (H, W, 3) as the net's input: float32 (1, 3, 272, 160), blue first, normalised."""
    bgr = np.ascontiguousarray(pixels[..., ::-1])
    small = cv2.warpAffine(bgr, matrix[:2], NET_SIZE[::-1], flags=cv2.INTER_LINEAR)
    normalised = (np.asarray(small, np.float32) / np.float32(255) - _MEAN) / _STD
    return np.ascontiguousarray(normalised.transpose(2, 0, 1)[None])


def decode(
    scores: Sequence[NDArray[np.float32]], distances: Sequence[NDArray[np.float32]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Boxes (K, 4) xyxy in the net's pixels and their scores (K,), best first, overlapping ones left out.

    For each stride: `scores` (N,) and `distances` (N, 32), which are 8 logits for each side of the box. A side's
    distance from the cell's corner is their softmax's mean, in strides.
    """
    all_boxes = []
    for stride, logits in zip(STRIDES, distances, strict=True):
        powers = np.exp(_centred(np.asarray(logits, np.float64).reshape(-1, 4, _BINS)))
        mean = (powers @ np.arange(_BINS)) / powers.sum(axis=-1) * stride
        corner = np.tile(_cells(stride), 2)
        all_boxes.append(corner + mean * np.array([-1, -1, 1, 1]))
    boxes, flat = np.concatenate(all_boxes), np.concatenate([np.asarray(each, np.float64) for each in scores])
    likely = np.nonzero(flat > _SCORE)[0]
    best = likely[np.argsort(-flat[likely], kind="stable")]
    kept: list[int] = []
    for index in best:
        if all(box_iou(boxes[index], boxes[other]) <= _OVERLAP for other in kept):
            kept.append(int(index))
    return boxes[kept], flat[kept]


def to_image(boxes: NDArray[np.float64], matrix: NDArray[np.float64], width: int, height: int) -> NDArray[np.int32]:
    """Boxes (K, 4) of the net's pixels in those of the image, int32: back through `matrix`, clipped, truncated."""
    corners = (boxes.reshape(-1, 2) - matrix[:2, 2]) @ np.linalg.inv(matrix[:2, :2]).T
    return np.asarray(np.clip(corners, 0, np.array([width, height])).reshape(-1, 4), np.int32)


def _cells(stride: int) -> NDArray[np.float64]:
    """Corners (N, 2) xy of a stride's cells, row by row."""
    rows, columns = (-(-side // stride) for side in NET_SIZE)
    down, across = np.mgrid[:rows, :columns]
    return np.stack([across.ravel(), down.ravel()], axis=1).astype(np.float64) * stride


def _centred(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logits less their largest, so that no exponential overflows."""
    return np.asarray(logits - logits.max(axis=-1, keepdims=True))
