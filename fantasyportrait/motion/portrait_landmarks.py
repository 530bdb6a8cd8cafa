"""The original network of 222 landmarks; the place of the face comes from its track."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.files import file_sha256
from fantasyportrait.core.geometry import Array
from fantasyportrait.faces.onnx_net import OnnxNet
from fantasyportrait.motion.alignment import (
    LANDMARK_SIDE,
    box_to_crop,
    landmark_crop,
    points_to_crop,
    roll_of,
    to_image,
)

POINTS = 222
_PASSES = 3
_LOST = 0.0001


@dataclass(frozen=True, eq=False)
class PortraitLandmarks:
    """Output of the network: float64 points (222, 2) in pixels, pitch and yaw in degrees, probability of a face."""

    points: NDArray[np.float64]
    pitch: float
    yaw: float
    probability: float


class PortraitLandmarkNet:
    """The net in `face_landmark.onnx`; `digest` names the file's contents, for caches.

    Raises DependencyError without onnxruntime, WeightsError for a file that is missing or another.
    """

    def __init__(self, model: Path) -> None:
        self._net = OnnxNet(model, (1, 3, LANDMARK_SIDE, LANDMARK_SIDE))
        self.digest = file_sha256(model)

    def read(self, pixels: NDArray[np.uint8], start: Array) -> PortraitLandmarks | None:
        """The face of an RGB image (H, W, 3) at `start`: a box (4,) xyxy, or its landmarks (222, 2) in the last frame.

        It is computed three times, each on the crop around the result before. None where the face is lost.
        """
        matrix = box_to_crop(start) if start.ndim == 1 else points_to_crop(start, roll_of(start))
        for _ in range(_PASSES):
            reading = self._read_crop(pixels, matrix)
            if reading.probability < _LOST or not np.isfinite(reading.points).all():
                return None
            matrix = points_to_crop(reading.points, roll_of(reading.points))
        return reading

    def _read_crop(self, pixels: NDArray[np.uint8], matrix: NDArray[np.float64]) -> PortraitLandmarks:
        outputs = self._net.run(landmark_crop(pixels, matrix))
        by_size = {output.size: output for output in outputs}
        try:
            coordinates, angles, probability = by_size[2 * POINTS], by_size[2].ravel(), by_size[1].ravel()
        except KeyError as error:
            raise self._net.output_error(outputs, f"2 x {POINTS} coordinates, 2 angles and a probability") from error
        points = to_image(coordinate_pairs(coordinates) * LANDMARK_SIDE, matrix)
        return PortraitLandmarks(points, float(angles[0]), float(angles[1]), float(probability[0]))


def coordinate_pairs(coordinates: NDArray[np.float32]) -> NDArray[np.float32]:
    """Points (222, 2) from an array of the net, whether it holds pairs or all x before all y.

    A shape (..., 222, 2) or (..., 2, 222) decides. In a flat row neighbours decide: points follow a contour,
    so that with all x first neighbours in the row are closer to each other than those two apart.
    """
    if coordinates.ndim > 1 and coordinates.shape[-2:] == (POINTS, 2):
        return coordinates.reshape(POINTS, 2)
    if coordinates.ndim > 1 and coordinates.shape[-2:] == (2, POINTS):
        return np.asarray(coordinates.reshape(2, POINTS).T)
    flat = coordinates.ravel()
    x_first = np.abs(flat[1:] - flat[:-1]).mean() < np.abs(flat[2:] - flat[:-2]).mean()
    return np.asarray(flat.reshape(2, POINTS).T if x_first else flat.reshape(POINTS, 2))
