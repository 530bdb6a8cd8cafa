"""The weight of each landmark for the eyes, the mouth, and the rest of the expression."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.faces.mesh import LEFT_EYE, LEFT_IRIS, OUTER_LIPS, RIGHT_EYE, RIGHT_IRIS, CanonicalFace
from fantasyportrait.schema.regions import Regions


@dataclass(frozen=True)
class RegionWeights:
    """Soft shares of each point, float64 (478,) each; the three add up to 1."""

    eyes: NDArray[np.float64]
    mouth: NDArray[np.float64]
    emotion: NDArray[np.float64]

    @classmethod
    def of(cls, canonical: CanonicalFace) -> "RegionWeights":
        """The shares on the canonical face."""
        points = canonical.points.astype(np.float64)
        eye_rings = points[np.concatenate([RIGHT_EYE, LEFT_EYE])]
        to_eye = np.linalg.norm(points[:, None] - eye_rings[None], axis=2).min(axis=1)
        eyes = np.clip(1.6 - to_eye / 0.5, 0, 1)
        eyes[np.concatenate([RIGHT_IRIS, LEFT_IRIS])] = 1.0
        # From the base of the nose downwards everything follows the mouth; cheeks beside it by halves.
        nose_base, lip_top = points[2, 1], points[OUTER_LIPS, 1].min()
        mouth = np.clip((points[:, 1] - nose_base) / (lip_top - nose_base), 0, 1) * (1 - eyes)
        return cls(eyes, mouth, 1 - eyes - mouth)

    def gain(self, regions: Regions) -> NDArray[np.float64]:
        """Return the share of the expression that each point plays, 0 to 1 (478,)."""
        return self.eyes * regions.eyes + self.mouth * regions.mouth + self.emotion * regions.emotion
