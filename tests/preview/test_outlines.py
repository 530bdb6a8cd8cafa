"""Outlines of heads: their colours, their place, and which head covers which."""

import numpy as np
import pytest
from numpy.typing import NDArray

from fantasyportrait.faces.annotate import face_colour
from fantasyportrait.preview.engine import HeadShape
from fantasyportrait.preview.outlines import draw_outlines
from fantasyportrait.preview.raster import Window
from fantasyportrait.schema.face import HeadPose, MaskedFace

GREY = np.full((200, 400, 3), 128, np.uint8)


def _head(number: int, x: int) -> HeadShape:
    """A square head of 60 px whose left side is at `x`, with its chin at the lower side."""
    landmarks = np.zeros((478, 3), np.float32)
    landmarks[:, :2] = x + 30, 80
    landmarks[10, :2], landmarks[152, :2] = (x + 30, 50), (x + 30, 110)
    landmarks[234, :2], landmarks[454, :2] = (x, 80), (x + 60, 80)
    box = np.array([x, 50, x + 60, 110], np.float32)
    mask = np.zeros(GREY.shape[:2], np.uint8)
    face = MaskedFace(number, box, landmarks, np.zeros(52, np.float32), HeadPose(0, 0, 0), 1.0, mask)
    return HeadShape(face, Window(x, 50, x + 60, 110), np.ones((60, 60), np.float32))


def _coloured(picture: NDArray[np.uint8], number: int) -> NDArray[np.bool_]:
    return np.asarray(np.abs(picture.astype(int) - face_colour(number)).max(axis=2) < 30)


def test_outline_goes_around_the_head_in_its_colour() -> None:
    drawn = draw_outlines(GREY, [_head(1, 100)])
    line = _coloured(drawn, 1)
    assert line[40:50, 120:140].any() and line[60:80, 92:100].any() and line[60:80, 160:168].any()
    assert np.array_equal(drawn[60:100, 110:150], GREY[60:100, 110:150]), "the head itself is not painted"
    assert np.array_equal(drawn[:, 200:], GREY[:, 200:]) and np.array_equal(drawn[150:], GREY[150:])
    assert (GREY == 128).all(), "the frame that is given does not change"


@pytest.mark.parametrize("strength", [0.0, 0.3, 0.7])
def test_outline_fades_with_its_strength(strength: float) -> None:
    full, weak = (
        np.abs(draw_outlines(GREY, [_head(1, 100)], each).astype(int) - 128).sum() for each in (1.0, strength)
    )
    assert weak == pytest.approx(strength * full, rel=0.15)  # the line and its rim overlap


def test_nearer_head_covers_the_outline_behind_it() -> None:
    far, near = _head(1, 100), _head(2, 140)
    drawn = draw_outlines(GREY, [far, near])
    assert _coloured(draw_outlines(GREY, [far]), 1)[60:100, 160:165].any()
    assert not _coloured(drawn, 1)[60:100, 145:190].any()
    assert _coloured(drawn, 2)[60:80, 134:140].any(), "its own outline lies over the far head"
