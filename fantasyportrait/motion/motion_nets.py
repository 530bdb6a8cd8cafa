"""The networks that turn a face into motion features: alignment and encoder."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.errors import WeightsError
from fantasyportrait.motion.aligners import Aligner, LandmarkAligner, MeshAligner
from fantasyportrait.motion.portrait_landmarks import PortraitLandmarkNet
from fantasyportrait.schema.motion_code import FEATURE_DIM

# Raise it with every change that alters a feature: cached codes of older versions are not used then.
EXTRACTION_VERSION = 1

CropEncoder = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Features float32 (B, 554) of crops float32 (B, 3, 224, 224), RGB in -1 to 1."""


@dataclass(frozen=True, eq=False)
class MotionNets:
    """The networks and settings that turn a face into features.

    Attributes:
        encode: the motion encoder.
        digest: names the encoder's weights, for caches.
        alignment: the original landmark net, or "mesh" for the five points of the 478-point mesh.
        batch: how many crops are encoded at once.
        smoothing: of the mesh, 0 to 1; the original nets have a smoothing of their own.
    """

    encode: CropEncoder
    digest: str
    alignment: PortraitLandmarkNet | Literal["mesh"] = "mesh"
    batch: int = 16
    smoothing: float = 0.5

    @property
    def key(self) -> str:
        """Cache key of everything here that features depend on."""
        alignment = f"mesh {self.smoothing}" if isinstance(self.alignment, str) else self.alignment.digest
        return f"{EXTRACTION_VERSION} {self.digest} {alignment}"

    def aligner(self) -> Aligner:
        """A fresh aligner, for one face of one clip."""
        return MeshAligner() if isinstance(self.alignment, str) else LandmarkAligner(self.alignment)


class CropBatcher:
    """Encodes crops in batches."""

    def __init__(self, nets: MotionNets) -> None:
        self._nets = nets
        self._pending: list[NDArray[np.float32]] = []
        self._done: list[NDArray[np.float32]] = []
        self._count = 0

    def add(self, crop: NDArray[np.float32]) -> int:
        """Take a crop (3, 224, 224) and return its place among the features."""
        self._pending.append(crop)
        if len(self._pending) >= self._nets.batch:
            self._flush()
        self._count += 1
        return self._count - 1

    def features(self) -> NDArray[np.float32]:
        """Features (N, 554) of all crops taken."""
        if self._pending:
            self._flush()
        return np.concatenate(self._done) if self._done else np.zeros((0, FEATURE_DIM), np.float32)

    def _flush(self) -> None:
        batch, self._pending = np.stack(self._pending), []
        features = np.asarray(self._nets.encode(batch), np.float32)
        if features.shape != (len(batch), FEATURE_DIM) or not np.isfinite(features).all():
            raise WeightsError(
                "the motion encoder gave {shape} for {count} crops, or numbers that are not finite: "
                "finite ({count}, {feature_dim}) is expected, fetch its weights again",
                shape=features.shape,
                count=len(batch),
                feature_dim=FEATURE_DIM,
            )
        self._done.append(features)
