"""Segments: the analysed frames of a clip, in the clip's own times."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.faces.tracker_state import TrackerState
from fantasyportrait.schema.face import MOUTH_SIZE, NUM_BLENDSHAPES, NUM_LANDMARKS


@dataclass(frozen=True, eq=False)
class TrackedFace:
    """One face in one frame.

    Attributes:
        frame: number of the frame among those that were looked at.
        person: id of the person (see `tracklet.Tracklet`).
        landmarks: float32 (478, 3), pixels of the frame.
        blendshapes: float32 (52,).
        mouth: uint8 (48, 80, 3), see `faces.mouth_texture`.
    """

    frame: int
    person: int
    landmarks: NDArray[np.float32]
    blendshapes: NDArray[np.float32]
    mouth: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Segment:
    """Consecutive frames of a clip and the N tracked faces in them.

    Attributes:
        size: (width, height) of the frames in pixels.
        first: number of the first of the F frames.
        spans: (begin, end) of each frame, seconds since the clip's first.
        left_out: int64 (F,), faces that were seen but not followed, as too many were.
        frames: int64 (N,), number of each face's frame.
        people: int64 (N,), id of each face's person.
        landmarks: float32 (N, 478, 3).
        blendshapes: float32 (N, 52).
        mouths: uint8 (N, 48, 80, 3).
        state: what is known after the last frame.
        last: True where the clip ends with this segment.
    """

    size: tuple[int, int]
    first: int
    spans: tuple[tuple[Fraction, Fraction], ...]
    left_out: NDArray[np.int64]
    frames: NDArray[np.int64]
    people: NDArray[np.int64]
    landmarks: NDArray[np.float32]
    blendshapes: NDArray[np.float32]
    mouths: NDArray[np.uint8]
    state: TrackerState
    last: bool

    def __post_init__(self) -> None:
        count, frames = len(self.frames), len(self.spans)
        shapes = {
            "left_out": (frames,),
            "people": (count,),
            "landmarks": (count, NUM_LANDMARKS, 3),
            "blendshapes": (count, NUM_BLENDSHAPES),
            "mouths": (count, *MOUTH_SIZE, 3),
        }
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} has shape {getattr(self, name).shape}, expected {shape}")
        inside = (self.frames >= self.first) & (self.frames < self.first + frames)
        if not frames or not inside.all() or self.state.frames != self.first + frames:
            raise ValueError("the frames of the segment do not fit together")
        if not (np.isfinite(self.landmarks).all() and np.isfinite(self.blendshapes).all()):
            raise ValueError("tracked faces must be finite")

    @classmethod
    def of(
        cls,
        size: tuple[int, int],
        spans: Sequence[tuple[Fraction, Fraction]],
        left_out: Sequence[int],
        tracked_faces: Sequence[TrackedFace],
        state: TrackerState,
        last: bool,
    ) -> "Segment":
        """Make the segment whose last frame is the last one in `state`."""
        count = len(tracked_faces)
        return cls(
            size,
            state.frames - len(spans),
            tuple(spans),
            np.array(left_out, np.int64),
            np.array([face.frame for face in tracked_faces], np.int64),
            np.array([face.person for face in tracked_faces], np.int64),
            np.array([face.landmarks for face in tracked_faces], np.float32).reshape(count, NUM_LANDMARKS, 3),
            np.array([face.blendshapes for face in tracked_faces], np.float32).reshape(count, NUM_BLENDSHAPES),
            np.array([face.mouth for face in tracked_faces], np.uint8).reshape(count, *MOUTH_SIZE, 3),
            state,
            last,
        )
