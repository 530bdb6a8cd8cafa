"""Head masks: the person's silhouette around a face, down to the base of the neck."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.geometry import Array, bounding_box
from fantasyportrait.faces.dnn_net import DnnNet
from fantasyportrait.faces.mesh import OVAL
from fantasyportrait.schema.face import Face, MaskedFace

_NET_SIDE = 256
# Share of the face's oval that a valid silhouette covers; statues, drawings and animals fail.
_BELIEVED = 0.8


@dataclass(frozen=True)
class FaceAxes:
    """A face's own upright frame in the photo.

    Attributes:
        chin: float64 (2,) xy pixels of the lowest face point.
        down: float64 (2,) unit vector from forehead to chin.
        height: forehead to chin in pixels.
        width: cheek to cheek in pixels, as if seen from the front.
    """

    chin: NDArray[np.float64]
    down: NDArray[np.float64]
    height: float
    width: float

    @classmethod
    def of(cls, landmarks: NDArray[np.float32]) -> "FaceAxes":
        """Axes of landmarks (478, 3)."""
        top, chin = landmarks[10].astype(np.float64), landmarks[152].astype(np.float64)
        flat = chin[:2] - top[:2]
        down = flat / max(float(np.linalg.norm(flat)), 1e-6)
        return cls(
            chin[:2], down, float(np.linalg.norm(chin - top)), float(np.linalg.norm(landmarks[454] - landmarks[234]))
        )

    def below_chin(self, x: Array, y: Array) -> NDArray[np.float32]:
        """Distance below the chin in face heights, negative above it; x, y of any one shape."""
        away = (x - self.chin[0]) * self.down[0] + (y - self.chin[1]) * self.down[1]
        return np.asarray(away / self.height, np.float32)


class HeadMasks:
    """Selfie segmentation around each face, cut at the base of the neck and divided between neighbours."""

    def __init__(self, net: DnnNet) -> None:
        self._net = net

    def masks(self, pixels: NDArray[np.uint8], faces: Sequence[NDArray[np.float32]]) -> list[NDArray[np.uint8]]:
        """A mask uint8 (H, W), 0 to 255, for each face's landmarks (478, 3), in an RGB photo (H, W, 3)."""
        return [self._mask(pixels, landmarks, faces) for landmarks in faces]

    def masked(self, pixels: NDArray[np.uint8], faces: Sequence[Face]) -> tuple[MaskedFace, ...]:
        """The faces of an RGB photo (H, W, 3) with their masks."""
        masks = self.masks(pixels, [face.landmarks for face in faces])
        return tuple(
            MaskedFace(face.id, face.box, face.landmarks, face.blendshapes, face.pose, face.presence, mask)
            for face, mask in zip(faces, masks, strict=True)
        )

    def _mask(
        self, pixels: NDArray[np.uint8], landmarks: NDArray[np.float32], everyone: Sequence[NDArray[np.float32]]
    ) -> NDArray[np.uint8]:
        axes = FaceAxes.of(landmarks)
        window = _window(landmarks, axes, pixels.shape)
        left, top, right, bottom = window
        crop = np.ascontiguousarray(pixels[top:bottom, left:right])
        silhouette = self._silhouette(crop)
        oval = _oval(landmarks, window)
        if silhouette[oval > 0].mean() < _BELIEVED:
            silhouette = _ellipse(landmarks, axes, window)
        silhouette = np.maximum(silhouette, cv2.GaussianBlur(oval, (0, 0), axes.width * 0.01))
        y, x = np.mgrid[top:bottom, left:right].astype(np.float32)
        silhouette = silhouette * (1 - _ramp(axes.below_chin(x, y), 0.42, 0.56))
        silhouette = silhouette * _nearest(landmarks, everyone, x, y)
        mask = np.zeros(pixels.shape[:2], np.uint8)
        mask[top:bottom, left:right] = np.round(255 * np.clip(silhouette, 0, 1))
        return mask

    def _silhouette(self, crop: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probability 0 to 1 (h, w) of the person in the crop, its edge drawn to the picture's own edges."""
        (output,) = self._net.run(cv2.dnn.blobFromImage(cv2.resize(crop, (_NET_SIDE, _NET_SIDE)), 1 / 255))
        coarse = output[0, 0]
        height, width = crop.shape[:2]
        probability = np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
        guide = np.asarray(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY) / 255, np.float32)
        refined = _guided(guide, probability, radius=max(2, width // 64))
        # The net's soft edge is wider than hair is; keep its middle.
        return _ramp(refined, 0.12, 0.6)


def _window(landmarks: NDArray[np.float32], axes: FaceAxes, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Square around the head, inside the photo: 3 face widths, a little above the face's middle."""
    box = bounding_box(landmarks)
    side = 1.5 * max(axes.width, axes.height * 0.8)
    middle = np.array([box[0] + box[2], box[1] + box[3]]) / 2 - axes.down * 0.1 * axes.height
    left, top = np.maximum(np.floor(middle - side), 0).astype(int)
    right, bottom = np.minimum(np.ceil(middle + side), [shape[1], shape[0]]).astype(int)
    return int(left), int(top), int(right), int(bottom)


def _oval(landmarks: NDArray[np.float32], window: tuple[int, int, int, int]) -> NDArray[np.float32]:
    left, top, right, bottom = window
    canvas = np.zeros((bottom - top, right - left), np.float32)
    outline = np.round(landmarks[OVAL, :2] - [left, top]).astype(np.int32)
    return np.asarray(cv2.fillPoly(canvas, [outline], 1.0), np.float32)


def _ellipse(landmarks: NDArray[np.float32], axes: FaceAxes, window: tuple[int, int, int, int]) -> NDArray[np.float32]:
    """Approximate the head where the net finds no person: the hull of the face grown by hair and neck."""
    left, top, right, bottom = window
    hull = landmarks[OVAL, :2].astype(np.float64)
    middle = hull.mean(axis=0)
    grown = middle + (hull - middle) * 1.12 - axes.down * 0.06 * axes.height
    canvas = np.zeros((bottom - top, right - left), np.float32)
    cv2.fillPoly(canvas, [np.round(grown - [left, top]).astype(np.int32)], 1.0)
    return np.asarray(cv2.GaussianBlur(canvas, (0, 0), axes.width * 0.03), np.float32)


def _nearest(
    landmarks: NDArray[np.float32],
    everyone: Sequence[NDArray[np.float32]],
    x: NDArray[np.float32],
    y: NDArray[np.float32],
) -> NDArray[np.float32]:
    """1 where this face is the nearest (distance in face widths), 0 where a neighbour is, soft between."""
    own = _distance(landmarks, x, y)
    share = np.ones_like(x)
    for other in everyone:
        if other is not landmarks:
            share = np.minimum(share, _ramp(_distance(other, x, y) - own, -0.03, 0.03))
    return share


def _distance(landmarks: NDArray[np.float32], x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float32]:
    box = bounding_box(landmarks)
    width = FaceAxes.of(landmarks).width
    away = np.hypot(x - (box[0] + box[2]) / 2, y - (box[1] + box[3]) / 2)
    return np.asarray(away / width, np.float32)


def _ramp(value: NDArray[np.float32], low: float, high: float) -> NDArray[np.float32]:
    """Smooth step from 0 at `low` to 1 at `high`."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def _guided(guide: NDArray[np.float32], image: NDArray[np.float32], radius: int) -> NDArray[np.float32]:
    """Guided filter (He et al. 2010): `image` smoothed, with the edges of `guide`."""
    size = (2 * radius + 1, 2 * radius + 1)
    mean_guide, mean_image = cv2.blur(guide, size), cv2.blur(image, size)
    slope = (cv2.blur(guide * image, size) - mean_guide * mean_image) / (
        cv2.blur(guide * guide, size) - mean_guide**2 + 1e-4
    )
    offset = mean_image - slope * mean_guide
    return np.asarray(cv2.blur(slope, size) * guide + cv2.blur(offset, size), np.float32)
