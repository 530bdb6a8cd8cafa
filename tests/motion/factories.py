"""Motion files made without networks."""

from collections.abc import Mapping, Sequence

import numpy as np

from fantasyportrait.faces.mesh import CanonicalFace
from fantasyportrait.motion.arkit_csv import HEADER
from fantasyportrait.schema.face import Track
from tests.faces.factories import turned_track


def scored_track(canonical: CanonicalFace, frames: int, seed: int = 0, lost: tuple[int, ...] = ()) -> Track:
    """A head that turns about, with random scores and without pixels; rows `lost` are invalid."""
    random = np.random.default_rng(seed)
    made = turned_track(canonical, random.uniform(-30, 30, frames).tolist(), pitch=5.0, lost=lost)
    scores = random.random((frames, 52), np.float32)
    return Track(made.person, made.size, made.landmarks, scores, made.valid, None)


def csv_text(rows: Sequence[Mapping[str, object]], columns: Sequence[str] = HEADER) -> bytes:
    """A file of curves; a value that a row lacks is 0."""
    lines = [",".join(columns), *(",".join(str(row.get(name, 0)) for name in columns) for row in rows)]
    return ("\n".join(lines) + "\n").encode()
