"""Tracks made without networks."""

import numpy as np

from fantasyportrait.core.geometry import rotation_matrix
from fantasyportrait.faces.mesh import CanonicalFace
from fantasyportrait.schema.face import Track


def made_track(frames: int, person: int = 1) -> Track:
    """A track of random numbers."""
    random = np.random.default_rng(person)
    return Track(
        person=person,
        size=(320, 240),
        landmarks=random.normal(120, 30, (frames, 478, 3)).astype(np.float32),
        blendshapes=random.random((frames, 52), np.float32),
        valid=random.random(frames) > 0.2,
        mouths=random.integers(0, 256, (frames, 48, 80, 3), np.uint8),
    )


def turned_track(
    canonical: CanonicalFace, yaws: list[float], *, pitch: float = 0.0, width: float = 150.0, lost: tuple[int, ...] = ()
) -> Track:
    """The canonical face, `width` px wide, turned by `yaws` (degrees, a row each); rows `lost` are invalid."""
    scale = width / float(np.ptp(canonical.points[:, 0]))
    faces = [canonical.points @ rotation_matrix(pitch, yaw, 0).T * scale + 200 for yaw in yaws]
    count = len(yaws)
    valid = np.ones(count, np.bool_)
    valid[list(lost)] = False
    return Track(
        person=1,
        size=(640, 480),
        landmarks=np.stack(faces).astype(np.float32),
        blendshapes=np.zeros((count, 52), np.float32),
        valid=valid,
        mouths=np.zeros((count, 48, 80, 3), np.uint8),
    )
