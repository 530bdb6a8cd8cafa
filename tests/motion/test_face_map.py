"""Face masks: growth with the driver, and pixels that two faces claim."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from fantasyportrait.motion.face_map import box_margins, box_mask, expanded_box, face_map, grown_mask

BOX = np.array([20.0, 30.0, 60.0, 80.0])
STAYS = np.zeros(4)


def test_excursion_is_relative_and_limited() -> None:
    boxes = np.array([[100, 100, 200, 300], [90, 100, 190, 310], [100, 20, 290, 300]], float)
    np.testing.assert_allclose(box_margins(boxes), [0.1, 0.25, 0.25, 0.05])
    np.testing.assert_allclose(box_margins(boxes, mirror=True), [0.25, 0.25, 0.1, 0.05])
    np.testing.assert_array_equal(box_margins(boxes[:1]), STAYS)


def test_grown_box_is_cut_to_whole_pixels() -> None:
    np.testing.assert_array_equal(expanded_box(BOX, [0.1, 0.0, 0.0, 0.25]), [16, 30, 60, 92])


def test_box_region_stops_at_the_border() -> None:
    made = box_mask(3, np.array([-5.0, 10.0, 30.0, 200.0]), [0.2] * 4, (40, 50))
    assert made.face == 3 and made.inside.shape == (50, 40)
    assert made.inside[10:, :30].all() and not made.inside[:, 37:].any()


def test_mask_grows_on_the_drivers_side_only() -> None:
    mask = np.zeros((50, 60), np.uint8)
    mask[20:30, 20:40] = 255
    box = np.array([20.0, 20.0, 40.0, 30.0])
    inside = grown_mask(1, mask, box, [0.1, 0.0, 0.25, 0.2]).inside
    ys, xs = np.nonzero(inside)
    assert (xs.min(), xs.max(), ys.min(), ys.max()) == (18, 44, 20, 31)
    np.testing.assert_array_equal(grown_mask(1, mask, box, STAYS).inside, mask > 0)


@given(st.permutations([1, 2, 3]))
def test_the_nearer_face_has_the_pixel(order: list[int]) -> None:
    """It is the larger face; but no face vanishes: face 3 lies inside of both others and keeps its mask."""
    size = (40, 30)
    boxes = {1: [0, 0, 20, 20], 2: [10, 5, 30, 20], 3: [15, 10, 25, 15]}
    masks = [box_mask(face, np.array(boxes[face], float), np.full(4, 0.1), size) for face in order]
    painted = face_map(masks)
    assert painted[8, 18] == 1 and painted[8, 25] == 2 and painted[25, 35] == 0
    inner = np.zeros((30, 40), bool)
    inner[10:15, 15:25] = True
    np.testing.assert_array_equal(painted == 3, inner)


@pytest.mark.parametrize("outside", [0, 2, 8, 9])
def test_a_face_mostly_covered_keeps_itself(outside: int) -> None:
    """A child of 20 rows, of which so many look out above a larger face: from a third on it is left as it is."""
    child = box_mask(1, np.array([20.0, 30 - outside, 36, 50 - outside]), STAYS, (80, 100))
    adult = box_mask(2, np.array([0.0, 30, 60, 95]), STAYS, (80, 100))
    rows = 20 if outside < 7 else outside
    assert (face_map([child, adult]) == 1).sum() == 16 * rows


def test_an_empty_mask_is_replaced_by_the_box() -> None:
    made = grown_mask(1, np.zeros((100, 90), np.uint8), BOX, STAYS)
    np.testing.assert_array_equal(made.inside, box_mask(1, BOX, STAYS, (90, 100)).inside)
    outside = box_mask(2, np.array([200.0, 200.0, 220.0, 230.0]), STAYS, (90, 100))
    assert outside.inside.sum() == 1, "a box beyond the picture still has a pixel"
