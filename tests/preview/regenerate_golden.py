"""Draw the golden contact sheet: `python -m tests.preview.regenerate_golden`. Look at it before you commit it."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fantasyportrait.faces.analyser import FaceAnalyser
from fantasyportrait.schema.driven_face import DrivenFace
from tests.preview.scene import Scene

SHEET = Path(__file__).parent / "golden" / "sheet.png"
CELL = 88
_COUNT = 80
# A row each: motion, face, frames.
_ROWS = (
    ("surprise", 0, (0, 19, 28, 50)),
    ("smile", 1, (0, 25, 45, 65)),
    ("wink", 0, (12, 22, 27, 40)),
    ("shake", 1, (14, 22, 30, 40)),
)


def draw_sheet(scene: Scene) -> NDArray[np.uint8]:
    """The contact sheet, RGB (352, 352, 3): four frames of four motions, a row each."""
    rows = []
    for name, index, frames in _ROWS:
        face = scene.faces[index]
        driven = DrivenFace(face, scene.motion(name, _COUNT), rows=np.array(frames))
        x, y = face.landmarks[4, :2].astype(int)
        half = int(0.85 * np.ptp(face.landmarks[:, 1]))
        top, left = max(y - half, 0), max(x - half, 0)
        crops = [frame[top : y + half, left : x + half] for frame in scene.frames([driven], len(frames))]
        rows.append(np.hstack([cv2.resize(crop, (CELL, CELL), interpolation=cv2.INTER_AREA) for crop in crops]))
    return np.vstack(rows)


if __name__ == "__main__":
    picture = Path(__file__).parents[2] / "assets" / "two_people.png"
    sheet = draw_sheet(Scene.of(picture, FaceAnalyser()))
    SHEET.parent.mkdir(exist_ok=True)
    cv2.imwrite(str(SHEET), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 9])
