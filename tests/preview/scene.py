"""The bundled picture at half its size with its faces, motions for them, and the landmark net's view of a render."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.geometry import bounding_box, estimate_similarity
from fantasyportrait.faces.analyser import FaceAnalyser
from fantasyportrait.faces.face_models import FaceModels
from fantasyportrait.faces.landmarks import Crop, LandmarkNet, head_pose
from fantasyportrait.faces.mesh import RIGID, CanonicalFace
from fantasyportrait.motion.builtin import builtin_motion
from fantasyportrait.preview.engine import render
from fantasyportrait.schema.driven_face import DrivenFace
from fantasyportrait.schema.face import MaskedFace
from fantasyportrait.schema.face_motion import FaceMotion

RATE = Fraction(25)
SIZE = (512, 288)


@dataclass(frozen=True)
class Scene:
    """A photo RGB (H, W, 3) and its faces."""

    photo: NDArray[np.uint8]
    faces: tuple[MaskedFace, ...]
    canonical: CanonicalFace

    @classmethod
    def of(cls, picture: Path, analyser: FaceAnalyser) -> "Scene":
        """The picture at 512x288."""
        photo = cv2.cvtColor(cv2.imread(str(picture)), cv2.COLOR_BGR2RGB)
        photo = cv2.resize(photo, SIZE, interpolation=cv2.INTER_AREA)
        return cls(photo, analyser.masked(photo, analyser.find(photo)), analyser.canonical)

    def motion(self, name: str, frames: int) -> FaceMotion:
        """A built-in motion at 25 frames a second."""
        return builtin_motion(name, frames, RATE, self.canonical)

    def frames(self, driven: Sequence[DrivenFace[FaceMotion]], count: int) -> NDArray[np.uint8]:
        """All frames (T, H, W, 3) of a render."""
        return np.stack(list(render(self.photo, driven, count, self.canonical)))

    def neighbourhood(self, face: MaskedFace) -> NDArray[np.bool_]:
        """Mask (H, W) of the pixels within 0.6 face heights of the head: no head moves farther."""
        radius = int(0.6 * np.ptp(face.landmarks[:, 1])) + 2
        box = np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)
        return cv2.dilate((face.mask > 0).astype(np.uint8), box) > 0


@dataclass(frozen=True)
class FrameLandmarks:
    """Measurements of one face in T frames: points (T, 478, 3), scores (T, 52), angles (T, 3) in degrees."""

    points: NDArray[np.float32]
    scores: NDArray[np.float32]
    angles: NDArray[np.float64]

    @classmethod
    def of(cls, frames: Iterable[NDArray[np.uint8]], face: MaskedFace, canonical: CanonicalFace) -> "FrameLandmarks":
        """Read the face in every frame, around its place in the photo."""
        models = FaceModels()
        net: LandmarkNet = models.landmark_net()
        crop = Crop.of_landmarks(face.landmarks)
        points = np.stack([net.read(frame, crop).points for frame in frames])
        scores = np.stack([net.blendshapes(each) for each in points])
        return cls(points, scores, angles_of(points, canonical))


def angles_of(points: NDArray[np.float32], canonical: CanonicalFace) -> NDArray[np.float64]:
    """Pitch, yaw, roll (T, 3) in degrees of landmarks (T, 478, 3)."""
    return np.array([head_pose(each, canonical) for each in points])


def gap(points: NDArray[np.float32]) -> NDArray[np.float64]:
    """Opening of the mouth (T,) as a share of the face's height, of landmarks (T, 478, 3)."""
    return np.linalg.norm(points[:, 13] - points[:, 14], axis=1) / np.linalg.norm(points[:, 10] - points[:, 2], axis=1)


def gaze(points: NDArray[np.float32], canonical: CanonicalFace) -> NDArray[np.float64]:
    """Sideways place (T,) of both irises between the corners of their eyes, on the levelled face."""
    levelled = [estimate_similarity(each[RIGID], canonical.points[RIGID]).apply(each) for each in points]
    places = [
        (each[[468, 473], 0] - each[[33, 362], 0]) / (each[[133, 263], 0] - each[[33, 362], 0]) for each in levelled
    ]
    return np.mean(places, axis=1)


def correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Pearson's, of two curves (T,)."""
    return float(np.corrcoef(a, b)[0, 1])


def still_motion(neutral: NDArray[np.float32], frames: NDArray[np.float32]) -> FaceMotion:
    """Landmarks (T, 478, 3) measured from `neutral` (478, 3), without any score."""
    scores = np.zeros((len(frames), 52), np.float32)
    return FaceMotion(neutral.astype(np.float32), scores[0], frames.astype(np.float32), scores)


def made_face(landmarks: NDArray[np.float32], shape: tuple[int, int]) -> MaskedFace:
    """A face of these landmarks in a photo of `shape`, its head an ellipse around them."""
    box = bounding_box(landmarks)
    mask = np.zeros(shape, np.uint8)
    middle = (int(box[0] + box[2]) // 2, int(box[1] + box[3]) // 2)
    axes = (int(0.65 * (box[2] - box[0])), int(0.7 * (box[3] - box[1])))
    cv2.ellipse(mask, middle, axes, 0, 0, 360, 255, -1, cv2.LINE_AA)
    pose = head_pose(landmarks, FaceModels().canonical_face())
    return MaskedFace(1, box, landmarks.astype(np.float32), np.zeros(52, np.float32), pose, 1.0, mask)
