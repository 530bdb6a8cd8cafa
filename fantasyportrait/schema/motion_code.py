"""Motion codes, which drive faces in the diffusion engine: 554 features a frame (the paper's expression features)."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FEATURE_GROUPS = {"head_pose": 6, "eyes": 6, "emotion": 30, "mouth": 512}
"""The groups in the order of the features, and how many numbers each has."""

FEATURE_DIM = sum(FEATURE_GROUPS.values())


@dataclass(frozen=True, eq=False)
class MotionCode:
    """Output of the motion encoder for one driving face, a row a frame.

    Attributes:
        head_pose: float32 (T, 6).
        eyes: float32 (T, 6).
        emotion: float32 (T, 30).
        mouth: float32 (T, 512).
        valid: bool (T,), False where the face was not seen and the row was filled from its neighbours.
    """

    head_pose: NDArray[np.float32]
    eyes: NDArray[np.float32]
    emotion: NDArray[np.float32]
    mouth: NDArray[np.float32]
    valid: NDArray[np.bool_]

    def __post_init__(self) -> None:
        count = len(self.valid)
        if self.valid.shape != (count,) or self.valid.dtype != np.bool_:
            raise ValueError(f"valid is {self.valid.dtype} of shape {self.valid.shape}, expected bool (T,)")
        for name, values in self._groups():
            expected = (count, FEATURE_GROUPS[name])
            if values.shape != expected or values.dtype != np.float32:
                raise ValueError(f"{name} is {values.dtype} of shape {values.shape}, expected float32 {expected}")

    @classmethod
    def from_features(cls, features: NDArray[np.float32], valid: NDArray[np.bool_]) -> "MotionCode":
        """The code with `features` float32 (T, 554): head pose | eyes | emotion | mouth. Raises ValueError."""
        if features.ndim != 2 or features.shape[1] != FEATURE_DIM:
            raise ValueError(f"features have shape {features.shape}, expected (T, {FEATURE_DIM})")
        ends = np.cumsum(list(FEATURE_GROUPS.values()))[:-1]
        head_pose, eyes, emotion, mouth = np.split(np.asarray(features, np.float32), ends, axis=1)
        return cls(head_pose, eyes, emotion, mouth, valid)

    def __len__(self) -> int:
        return len(self.valid)

    @property
    def features(self) -> NDArray[np.float32]:
        """float32 (T, 554), head pose | eyes | emotion | mouth: the motion adapter's input."""
        return np.concatenate([values for _, values in self._groups()], axis=1)

    def relative_to(self, neutral_frame: int, portrait: "MotionCode") -> "MotionCode":
        """Relative motion: the difference from the driver's row `neutral_frame`, added to the portrait's code (1 row).

        At the driver's neutral row the portrait looks as it does in the photo.
        """
        own = self.features
        return MotionCode.from_features(own - own[neutral_frame] + _one_row(portrait), self.valid)

    def _groups(self) -> Iterator[tuple[str, NDArray[np.float32]]]:
        return ((name, getattr(self, name)) for name in FEATURE_GROUPS)


def _one_row(portrait: MotionCode) -> NDArray[np.float32]:
    """The portrait's features (1, 554); ValueError where the code has not exactly one row."""
    if len(portrait) != 1:
        raise ValueError(f"the portrait's code has {len(portrait)} rows, expected 1")
    return portrait.features
