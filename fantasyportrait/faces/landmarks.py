"""478 landmarks and 52 blendshape scores of a face crop (MediaPipe's nets, run by OpenCV)."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.geometry import bounding_box, estimate_similarity, euler_angles
from fantasyportrait.faces.detect import Detection
from fantasyportrait.faces.dnn_net import DnnNet
from fantasyportrait.faces.mesh import LEFT_EYE, RIGHT_EYE, RIGID, CanonicalFace
from fantasyportrait.schema.face import HeadPose

_SIDE = 256
_MARGIN = 1.5
_PRESENT = 0.5

# fmt: off
_BLENDSHAPE_POINTS = np.array([
    0, 1, 4, 5, 6, 7, 8, 10, 13, 14, 17, 21, 33, 37, 39, 40, 46, 52, 53, 54, 55, 58, 61, 63, 65, 66, 67, 70, 78, 80,
    81, 82, 84, 87, 88, 91, 93, 95, 103, 105, 107, 109, 127, 132, 133, 136, 144, 145, 146, 148, 149, 150, 152, 153,
    154, 155, 157, 158, 159, 160, 161, 162, 163, 168, 172, 173, 176, 178, 181, 185, 191, 195, 197, 234, 246, 249, 251,
    263, 267, 269, 270, 276, 282, 283, 284, 285, 288, 291, 293, 295, 296, 297, 300, 308, 310, 311, 312, 314, 317, 318,
    321, 323, 324, 332, 334, 336, 338, 356, 361, 362, 365, 373, 374, 375, 377, 378, 379, 380, 381, 382, 384, 385, 386,
    387, 388, 389, 390, 397, 398, 400, 402, 405, 409, 415, 454, 466, 468, 469, 470, 471, 472, 473, 474, 475, 476, 477,
])
# fmt: on


@dataclass(frozen=True)
class Crop:
    """A square, rotated region of an image: centre (x, y) and side in pixels, roll in radians (eyes level)."""

    centre: NDArray[np.float64]
    side: float
    roll: float

    @classmethod
    def around(
        cls, points: NDArray[np.float32], right_eye: NDArray[np.float32], left_eye: NDArray[np.float32]
    ) -> "Crop":
        """The crop 1.5 times as wide as the box of `points` (N, 2), measured with the eyes level."""
        across = left_eye - right_eye
        roll = float(np.arctan2(across[1], across[0]))
        turn = _turn(-roll)
        box = bounding_box(points @ turn.T)
        centre = _turn(roll) @ np.array([box[0] + box[2], box[1] + box[3]]) / 2
        return cls(centre, _MARGIN * float(max(box[2] - box[0], box[3] - box[1])), roll)

    @classmethod
    def of_detection(cls, detection: Detection) -> "Crop":
        """The crop around a detected face."""
        left, top, right, bottom = detection.box
        centre = np.array([left + right, top + bottom]) / 2
        across = detection.eyes[1] - detection.eyes[0]
        roll = float(np.arctan2(across[1], across[0]))
        return cls(centre.astype(np.float64), _MARGIN * float(max(right - left, bottom - top)), roll)

    @classmethod
    def of_landmarks(cls, landmarks: NDArray[np.float32]) -> "Crop":
        """The crop around landmarks (478, 3)."""
        xy = landmarks[:, :2]
        return cls.around(xy, xy[RIGHT_EYE[0]], xy[LEFT_EYE[0]])

    def matrix(self) -> NDArray[np.float64]:
        """Affine (2, 3) from crop pixels (256 x 256) to image pixels."""
        linear = _turn(self.roll) * (self.side / _SIDE)
        return np.column_stack([linear, self.centre - linear @ np.full(2, _SIDE / 2)])


@dataclass(frozen=True)
class Landmarks:
    """Output of the landmark net: float32 points (478, 3) in image pixels, probability of a face 0 to 1."""

    points: NDArray[np.float32]
    presence: float


class LandmarkNet:
    """The face landmark net with iris, and the blendshape net behind it."""

    def __init__(self, landmarks: DnnNet, blendshapes: DnnNet) -> None:
        self._landmarks, self._blendshapes = landmarks, blendshapes

    def read(self, pixels: NDArray[np.uint8], crop: Crop) -> Landmarks:
        """Landmarks of the face inside `crop` of an RGB image."""
        matrix = crop.matrix()
        # Anti-aliasing by area when the face is larger than the net's input: a plain warp would skip pixels.
        patch = _sample(pixels, matrix, crop.side)
        points, presence = self._landmarks.run(cv2.dnn.blobFromImage(patch, 1 / 255))
        points = points.reshape(-1, 3).astype(np.float64)
        xy = points[:, :2] @ matrix[:, :2].T + matrix[:, 2]
        z = points[:, 2:] * (crop.side / _SIDE)
        probability = 1 / (1 + np.exp(-float(np.clip(presence.ravel()[0], -50, 50))))
        return Landmarks(np.concatenate([xy, z], axis=1).astype(np.float32), probability)

    def fit(self, pixels: NDArray[np.uint8], crop: Crop, passes: int) -> Landmarks | None:
        """Fit landmarks in the crop of an RGB image, then again in the crop around them; None for no face."""
        for _ in range(passes):
            reading = self.read(pixels, crop)
            if not np.isfinite(reading.points).all() or not reading.presence >= _PRESENT / 10:
                return None
            crop = Crop.of_landmarks(reading.points)
        return reading if reading.presence >= _PRESENT else None

    def blendshapes(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """52 scores 0 to 1 of landmarks (478, 3) in pixels."""
        (scores,) = self._blendshapes.run(points[None, _BLENDSHAPE_POINTS, :2].astype(np.float32))
        return scores.reshape(-1).astype(np.float32)


def head_pose(points: NDArray[np.float32], canonical: CanonicalFace) -> HeadPose:
    """Rotation of the canonical face onto landmarks (478, 3), by its rigid points."""
    fit = estimate_similarity(canonical.points[RIGID], points[RIGID])
    return HeadPose(*(float(angle) for angle in euler_angles(fit.rotation)))


def _turn(angle: float) -> NDArray[np.float64]:
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, -sine], [sine, cosine]])


def _sample(pixels: NDArray[np.uint8], matrix: NDArray[np.float64], side: float) -> NDArray[np.uint8]:
    """Resample the crop to 256 x 256, edge pixels repeated; larger ones are halved by area first."""
    matrix = matrix.copy()
    if side > 2 * _SIDE:
        corners = np.array([[0, 0], [_SIDE, 0], [0, _SIDE], [_SIDE, _SIDE]]) @ matrix[:, :2].T + matrix[:, 2]
        low = np.maximum(np.floor(corners.min(axis=0)), 0).astype(int)
        high = np.minimum(np.ceil(corners.max(axis=0)), pixels.shape[1::-1]).astype(int)
        factor = side / _SIDE
        high = np.maximum(high, low + 1)
        window = pixels[low[1] : high[1], low[0] : high[0]]
        if window.size == 0:
            return np.zeros((_SIDE, _SIDE, 3), np.uint8)
        size = (max(1, round(window.shape[1] / factor)), max(1, round(window.shape[0] / factor)))
        shrink = np.array([size[0] / window.shape[1], size[1] / window.shape[0]])
        pixels = np.asarray(cv2.resize(window, size, interpolation=cv2.INTER_AREA), np.uint8)
        matrix[:, 2] = (matrix[:, 2] - low) * shrink
        matrix[:, :2] *= shrink[:, None]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    patch = cv2.warpAffine(pixels, matrix, (_SIDE, _SIDE), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(patch, np.uint8)
