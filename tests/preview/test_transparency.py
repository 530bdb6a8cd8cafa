"""Straight colours of transparent photos, and the alpha behind a head."""

import numpy as np
from hypothesis import given, strategies as st

from fantasyportrait.preview.layers import alpha_behind
from fantasyportrait.preview.transparency import straight_rgba


@given(st.integers(32, 255), st.tuples(*[st.integers(0, 255)] * 3))
def test_white_is_taken_out_of_half_transparent_pixels(alpha: int, colour: tuple[int, int, int]) -> None:
    share = alpha / 255
    laid = np.round(np.array(colour) * share + 255 * (1 - share)).astype(np.uint8)
    made = straight_rgba(np.tile(laid, (4, 4, 1)), np.full((4, 4), alpha, np.uint8))
    assert np.abs(made[..., :3].astype(int) - colour).max() <= 0.5 / share + 1
    assert (made[..., 3] == alpha).all()


def test_transparent_pixels_get_colours_around_them() -> None:
    pixels = np.full((32, 32, 3), 255, np.uint8)
    alpha = np.zeros((32, 32), np.uint8)
    pixels[8:24, 8:24], alpha[8:24, 8:24] = (200, 40, 10), 255
    made = straight_rgba(pixels, alpha)
    assert np.abs(made[..., :3].astype(int) - (200, 40, 10)).max() <= 2
    np.testing.assert_array_equal(made[..., 3], alpha)


def test_nothing_appears_behind_a_head_that_was_cut_out() -> None:
    alpha = np.zeros((60, 60), np.uint8)
    covered = np.zeros((60, 60), np.uint8)
    alpha[20:40, 20:40] = 255
    covered[18:42, 18:42] = 1
    assert alpha_behind(alpha, covered).max() == 0
    whole = np.full((60, 60), 255, np.uint8)
    assert alpha_behind(whole, covered).min() == 255
