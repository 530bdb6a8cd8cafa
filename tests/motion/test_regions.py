"""Face regions: growth with the driver, masks, and who has a pixel that two faces claim."""

import numpy as np
from hypothesis import given, strategies as st

from fantasyportrait.motion.regions import Region, box_region, excursion, face_map, grown_box, mask_region

BOX = np.array([20.0, 30.0, 60.0, 80.0])
STAYS = np.zeros(4)


def test_excursion_is_a_share_of_the_first_box_and_limited() -> None:
    boxes = np.array([[100, 100, 200, 300], [90, 100, 190, 310], [100, 20, 290, 300]], float)
    np.testing.assert_allclose(excursion(boxes), [0.1, 0.25, 0.25, 0.05])
    np.testing.assert_array_equal(excursion(boxes[:1]), STAYS)


def test_grown_box_is_cut_to_whole_pixels() -> None:
    np.testing.assert_array_equal(grown_box(BOX, [0.1, 0.0, 0.0, 0.25]), [16, 30, 60, 92])


def test_box_region_stops_at_the_border() -> None:
    region = box_region(3, np.array([-5.0, 10.0, 30.0, 200.0]), [0.2] * 4, (40, 50))
    assert region.face == 3 and region.inside.shape == (50, 40)
    assert region.inside[10:, :30].all() and not region.inside[:, 37:].any()


def test_mask_grows_on_the_drivers_side_only() -> None:
    mask = np.zeros((50, 60), np.uint8)
    mask[20:30, 20:40] = 255
    box = np.array([20.0, 20.0, 40.0, 30.0])
    inside = mask_region(1, mask, box, [0.1, 0.0, 0.25, 0.2]).inside
    ys, xs = np.nonzero(inside)
    assert (xs.min(), xs.max(), ys.min(), ys.max()) == (18, 44, 20, 31)
    np.testing.assert_array_equal(mask_region(1, mask, box, STAYS).inside, mask > 0)


@given(st.permutations([1, 2, 3]))
def test_the_nearer_face_has_the_pixel(order: list[int]) -> None:
    size = (40, 30)
    boxes = {1: [0, 0, 20, 20], 2: [10, 5, 30, 20], 3: [15, 10, 25, 15]}
    regions = [box_region(face, np.array(boxes[face], float), STAYS, size) for face in order]
    painted = face_map(regions)
    assert painted[12, 18] == 1 and painted[12, 22] == 2 and painted[25, 35] == 0
    assert (painted == 3).sum() == 0, "the smallest face lies behind both"
    lone = Region(3, regions[order.index(3)].inside, 99.0)
    assert face_map([*regions, lone])[12, 18] == 3
