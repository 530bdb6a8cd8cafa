"""Driven faces without a photo: the pipeline reads only their numbers and motions."""

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.schema.driven_face import DrivenFace
from fantasyportrait.schema.face import HeadPose, MaskedFace
from fantasyportrait.schema.motion_code import MotionCode


def tiny_driven_face(number: int, features: NDArray[np.float32]) -> DrivenFace[MotionCode]:
    """A face with this number that plays features float32 (F, 554), a row a frame."""
    face = MaskedFace(
        id=number,
        box=np.zeros(4, np.float32),
        landmarks=np.zeros((478, 3), np.float32),
        blendshapes=np.zeros(52, np.float32),
        pose=HeadPose(0, 0, 0),
        presence=1.0,
        mask=np.zeros((1, 1), np.uint8),
    )
    return DrivenFace(face, MotionCode.from_features(features, np.ones(len(features), np.bool_)))
