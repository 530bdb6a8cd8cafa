"""A face of the portrait and what drives it: the one type that the engines, the renderer and the pipeline take."""

from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.schema.face import MaskedFace
from fantasyportrait.schema.face_motion import FaceMotion
from fantasyportrait.schema.motion_code import MotionCode
from fantasyportrait.schema.regions import Regions

MotionT = TypeVar("MotionT", bound=FaceMotion | MotionCode)


@dataclass(frozen=True, eq=False)
class DrivenFace(Generic[MotionT]):
    """A face of the portrait and the motion that it plays.

    Attributes:
        face: the face, in the coordinates of the picture that is animated.
        motion: a `FaceMotion` for the preview engine, a `MotionCode` for the diffusion engine. None where nothing
            drives the face: the preview engine keeps it still, the diffusion engine leaves it to the model.
        strength: 0 (no motion) to 2; 1 plays the motion as it is.
        regions: which regions of the face follow the motion.
        absolute: take over the driver's own head pose instead of its movement since the neutral frame. Only for a
            `FaceMotion`: the features of a `MotionCode` are already absolute or relative.
        rows: int64 (F,), the row of the motion that each frame of the video plays (loop, hold, pingpong), so that a
            long video needs no longer motion; None plays each row once.
        margins: float64 (4,), how far the driver's head leaves its first box on each side, see `motion.face_map`.
    """

    face: MaskedFace
    motion: MotionT | None = None
    strength: float = 1.0
    regions: Regions = field(default_factory=Regions)
    absolute: bool = False
    rows: NDArray[np.int64] | None = None
    margins: NDArray[np.float64] = field(default_factory=lambda: np.zeros(4))

    def __post_init__(self) -> None:
        count = 0 if self.motion is None else len(self.motion)
        if self.rows is None:
            return
        if self.rows.ndim != 1 or self.rows.dtype != np.int64:
            raise ValueError(f"rows of face {self.face.id} is {self.rows.dtype} {self.rows.shape}: give int64 (F,)")
        if len(self.rows) and not 0 <= self.rows.min() <= self.rows.max() < count:
            raise ValueError(
                f"rows of face {self.face.id} goes from {self.rows.min()} to {self.rows.max()}, but its motion has "
                f"{count} rows: give rows of the motion"
            )

    @property
    def frame_rows(self) -> NDArray[np.int64]:
        """The row of the motion that each frame plays, int64 (F,); none where nothing drives the face."""
        if self.rows is not None:
            return self.rows
        return np.arange(0 if self.motion is None else len(self.motion))
