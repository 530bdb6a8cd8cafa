"""Frames of the built-in motions against a contact sheet that was checked by eye."""

import cv2
import numpy as np

from tests.preview.regenerate_golden import SHEET, draw_sheet
from tests.preview.scene import Scene


def test_the_contact_sheet_looks_as_it_did(scene: Scene) -> None:
    golden = cv2.cvtColor(cv2.imread(str(SHEET)), cv2.COLOR_BGR2RGB)
    drawn = draw_sheet(scene)
    assert drawn.shape == golden.shape and drawn.std() > 20
    away = np.abs(drawn.astype(int) - golden)
    message = "the looks changed; if that is wanted, see tests/preview/regenerate_golden.py"
    assert away.mean() < 6 and np.percentile(away, 99) < 60, message
