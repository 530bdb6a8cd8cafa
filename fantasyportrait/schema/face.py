"""A face of a photo, and the track of one person's face through a clip."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

NUM_LANDMARKS = 478
NUM_BLENDSHAPES = 52
MOUTH_SIZE = (48, 80)


class HeadPose(NamedTuple):
    """Degrees; all zero when the head faces the camera."""

    pitch: float
    yaw: float
    roll: float


@dataclass(frozen=True)
class Face:
    """One face of a photo. Coordinates are pixels of the original photo.

    Attributes:
        id: 1, 2, 3 ... row by row, left to right.
        box: float32 (4,) xyxy around the landmarks.
        landmarks: float32 (478, 3); z in pixels, smaller is nearer.
        blendshapes: float32 (52,) scores 0 to 1, MediaPipe's order.
        pose: rotation of the head.
        presence: probability 0 to 1 that the landmarks lie on a face.
    """

    id: int
    box: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    blendshapes: NDArray[np.float32]
    pose: HeadPose
    presence: float

    def __post_init__(self) -> None:
        _check("landmarks", self.landmarks, (NUM_LANDMARKS, 3))
        _check("blendshapes", self.blendshapes, (NUM_BLENDSHAPES,))
        _check("box", self.box, (4,))

    @property
    def side(self) -> float:
        """The longer side of the box in pixels."""
        return float(max(self.box[2] - self.box[0], self.box[3] - self.box[1]))

    def resized(self, before: tuple[int, int], after: tuple[int, int]) -> "Face":
        """Return the face in pixels of the photo resized from (width, height) `before` to `after`."""
        across, down = after[0] / before[0], after[1] / before[1]
        scale = np.array([across, down, (across + down) / 2], np.float32)
        box = np.asarray(self.box * np.tile(scale[:2], 2), np.float32)
        return replace(self, box=box, landmarks=self.landmarks * scale)


@dataclass(frozen=True)
class MaskedFace(Face):
    """A face with its head mask, which has the size of the video: at the size of the file it can take much memory.

    Attributes:
        mask: uint8 (H, W), 0 to 255: how much of each pixel of the picture belongs to this person's head.
    """

    mask: NDArray[np.uint8]


@dataclass(frozen=True)
class Track:
    """One person's face through a clip or a motion file, a row a frame.

    Attributes:
        person: 1, 2, 3 ..., the person's number in the whole clip (see `faces.numbering`).
        size: (width, height) of the clip's frames in pixels.
        landmarks: float32 (T, 478, 3), pixels of the clip's upright frames. Rows without a face are filled.
        blendshapes: float32 (T, 52), filled the same way.
        valid: bool (T,), False where the row was filled.
        mouths: uint8 (N, 48, 80, 3) RGB, the mouth's inside (see `faces.mouth_texture`) in each of N readings; None for
            a motion file, which holds no pixels.
        mouth_indices: int64 (T,), which of `mouths` each row shows; None where row i shows mouth i.
        left_out: how many people of the clip have no track, as too many are seen.
    """

    person: int
    size: tuple[int, int]
    landmarks: NDArray[np.float32]
    blendshapes: NDArray[np.float32]
    valid: NDArray[np.bool_]
    mouths: NDArray[np.uint8] | None
    mouth_indices: NDArray[np.int64] | None = None
    left_out: int = 0

    def __post_init__(self) -> None:
        count = len(self.landmarks)
        _check("landmarks", self.landmarks, (count, NUM_LANDMARKS, 3))
        _check("blendshapes", self.blendshapes, (count, NUM_BLENDSHAPES))
        _check("valid", self.valid, (count,))
        if self.mouths is not None:
            readings = count if self.mouth_indices is None else len(self.mouths)
            _check("mouths", self.mouths, (readings, *MOUTH_SIZE, 3))
        if self.mouth_indices is not None:
            _check("mouth_indices", self.mouth_indices, (count,))

    def __len__(self) -> int:
        return len(self.landmarks)

    def mouth(self, row: int) -> NDArray[np.uint8] | None:
        """The mouth's inside in a row, uint8 (48, 80, 3); None without pixels."""
        if self.mouths is None:
            return None
        return np.asarray(self.mouths[row if self.mouth_indices is None else self.mouth_indices[row]])

    @cached_property
    def boxes(self) -> NDArray[np.float32]:
        """float32 (T, 4) xyxy around the landmarks of each frame."""
        xy = self.landmarks[..., :2]
        return np.concatenate([xy.min(axis=1), xy.max(axis=1)], axis=1)


def _check(name: str, value: np.ndarray, shape: tuple[int, ...]) -> None:
    if value.shape != shape:
        raise ValueError(f"{name} has shape {value.shape}, expected {shape}")
