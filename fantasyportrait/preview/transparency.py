"""Transparent photos: straight colours, which go on under the transparent parts."""

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.images.images import straight_colours
from fantasyportrait.preview.layers import fill_holes

# Below this alpha 8 bits say too little about a colour, so it is taken from around.
_KNOWN_ALPHA = 32


def straight_rgba(pixels: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """RGBA uint8 (H, W, 4) with straight alpha of a photo RGB (H, W, 3) that was laid on white by `alpha` (H, W).

    White is taken out of half-transparent pixels, and transparent ones get the colours around them: so neither white
    nor black shows at an edge that is warped, scaled or coded with losses.
    """
    colours = straight_colours(pixels, alpha)
    known = np.minimum(alpha / np.float32(_KNOWN_ALPHA), 1).astype(np.float32)
    around = fill_holes(np.round(colours).astype(np.uint8), known)
    mixed = around + (colours - around) * known[..., None]
    return np.dstack([np.clip(np.round(mixed), 0, 255).astype(np.uint8), alpha])
