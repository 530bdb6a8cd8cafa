"""Numbered boxes."""

import numpy as np

from fantasyportrait.faces.annotate import FACE_COLOURS, annotate, draw_boxes, face_colour
from fantasyportrait.schema.face import Face, HeadPose


def _luminance(colour: tuple[int, int, int]) -> float:
    linear = [c / 3294.6 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_boxes_are_drawn_on_a_copy() -> None:
    photo = np.full((200, 300, 3), 255, np.uint8)
    boxes = [(1, np.array([10, 60, 80, 150], np.float32)), (2, np.array([-5, -5, 400, 190], np.float32))]
    picture = draw_boxes(photo, boxes)
    assert photo.min() == 255
    assert tuple(picture[100, 10]) == FACE_COLOURS[0]
    assert tuple(picture[190, 150]) == FACE_COLOURS[1]
    assert tuple(picture[120, 45]) == (255, 255, 255)


def test_white_numbers_can_be_read_on_every_colour() -> None:
    assert all(1.05 / (_luminance(colour) + 0.05) > 3 for colour in FACE_COLOURS)
    assert len(set(FACE_COLOURS)) == len(FACE_COLOURS)
    assert face_colour(len(FACE_COLOURS) + 1) == FACE_COLOURS[0]


def test_reduced_picture_scales_its_boxes() -> None:
    photo = np.full((400, 800, 3), 255, np.uint8)
    box = np.array([200, 100, 400, 300], np.float32)
    face = Face(1, box, np.zeros((478, 3), np.float32), np.zeros(52, np.float32), HeadPose(0, 0, 0), 1.0)
    whole, reduced = annotate(photo, [face]), annotate(photo, [face], max_side=400)
    assert whole.shape == photo.shape and reduced.shape == (200, 400, 3)
    assert tuple(reduced[100, 100]) == tuple(reduced[150, 150]) == FACE_COLOURS[0]
    assert np.array_equal(annotate(photo, [face], max_side=2000), whole)
