"""What drives a face in the preview engine: landmarks and blendshapes, a row a frame, with the neutral face."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class FaceMotion:
    """A driving face, from a clip or built in.

    Attributes:
        neutral: float32 (478, 3), the driving face at rest: motion is measured from here.
        neutral_blendshapes: float32 (52,) of that face.
        landmarks: float32 (T, 478, 3) in the same units as `neutral` (pixels of the clip, or canonical units).
        blendshapes: float32 (T, 52).
        mouths: uint8 (N, 48, 80, 3) RGB insides of the mouth, or None where it must be drawn.
        mouth_indices: int64 (T,), which of `mouths` each row shows; None where row i shows mouth i.
        measured: whether the landmarks were measured in pictures, so that they have errors.
    """

    neutral: NDArray[np.float32]
    neutral_blendshapes: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    blendshapes: NDArray[np.float32]
    mouths: NDArray[np.uint8] | None = None
    mouth_indices: NDArray[np.int64] | None = None
    measured: bool = False

    def __len__(self) -> int:
        return len(self.landmarks)

    def mouth(self, row: int) -> NDArray[np.uint8] | None:
        """Inside of the mouth in a row, uint8 (48, 80, 3), or None where it must be drawn."""
        if self.mouths is None:
            return None
        return np.asarray(self.mouths[row if self.mouth_indices is None else self.mouth_indices[row]])
