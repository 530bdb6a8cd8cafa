"""Layers of a photo: one for each head, and the background plate behind the moving heads."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fantasyportrait.preview.raster import Window
from fantasyportrait.preview.rig import Rig, head_share
from fantasyportrait.schema.face import MaskedFace

# Farthest that a head may travel from its place in the photo, in face heights: limits of shift, turn and scale.
_REACH = 0.5
# Share of the head's movement below which a pixel does not move (less than a pixel even on a large head).
_FADE = 0.04
# How much steeper the edge of the alpha behind a head is than a smooth continuation.
_EDGE_GAIN = 6.0
# Width of the rim that goes along with a head, in face heights.
_RIM = 0.012


@dataclass(frozen=True)
class HeadLayer:
    """A head cut out of the photo.

    Attributes:
        window: where the head may be in any frame.
        alpha: float32 (H, W) 0 to 1, whole photo.
        moves: bool (H, W), the pixels whose place the head can leave; below the neck the layer lies still and fades.
    """

    window: Window
    alpha: NDArray[np.float32]
    moves: NDArray[np.bool_]


def head_layer(pixels: NDArray[np.uint8], face: MaskedFace, rig: Rig) -> HeadLayer:
    """The layer of one face of an RGB photo (H, W, 3)."""
    height, width = pixels.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    follows = head_share(x, y, rig.axes)
    # A little of the surroundings moves along: it holds stray hair that the mask misses.
    rim = max(1, round(_RIM * rig.axes.height))
    grown = cv2.GaussianBlur(cv2.dilate(face.mask, _disc(rim)).astype(np.float32) / 255, (0, 0), 0.5 * rim)
    alpha = np.asarray(grown * np.clip(follows / _FADE, 0, 1), np.float32)
    alpha[alpha < 0.01] = 0
    rows, columns = np.nonzero(alpha > 0)
    corners = np.array([[columns.min(), rows.min()], [columns.max(), rows.max()]], np.float64)
    window = Window.around(corners, _REACH * rig.axes.height, pixels.shape)
    return HeadLayer(window, alpha, follows > _FADE)


def background_plate(pixels: NDArray[np.uint8], layers: Sequence[HeadLayer]) -> NDArray[np.uint8]:
    """The photo RGB or RGBA (H, W, C) without the given heads: their places are filled from around them, once."""
    plate: NDArray[np.uint8] = pixels.copy()
    for layer in layers:
        window = layer.window
        covered = (window.of(layer.alpha) > 0.01).astype(np.uint8)
        covered = np.asarray(cv2.dilate(covered, _disc(1)), np.uint8)
        filled = extend_background(window.of(plate), covered, reach=0.35 * layer.window.shape[0])
        if pixels.shape[2] == 4:
            filled[..., 3] = alpha_behind(window.of(plate)[..., 3], covered)
        behind = (covered > 0) & window.of(layer.moves)
        window.of(plate)[behind] = filled[behind]
    return plate


def extend_background(image: NDArray[np.uint8], covered: NDArray[np.uint8], reach: float) -> NDArray[np.uint8]:
    """An image (h, w, 3) with its `covered` pixels (h, w) made up from the rest.

    Near the edge the background is extended by its mirror image, which keeps its texture; deeper than `reach` pixels,
    where no movement looks, it is smooth.
    """
    smooth = fill_holes(image, 1.0 - covered)
    if not covered.any() or covered.all():
        return np.asarray(np.clip(np.round(smooth), 0, 255), np.uint8)
    distance, labels = cv2.distanceTransformWithLabels(
        covered, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    rows, columns = np.nonzero(covered == 0)
    edge = np.zeros((int(labels.max()) + 1, 2), np.float32)
    edge[labels[rows, columns]] = np.column_stack([columns, rows])
    y, x = np.mgrid[: image.shape[0], : image.shape[1]].astype(np.float32)
    # Smoothing the edge's course keeps the mirror from breaking up where the outline is ragged.
    mirror = cv2.GaussianBlur(2 * edge[labels] - np.dstack([x, y]), (0, 0), 5)
    reflected = cv2.remap(image, mirror[..., 0], mirror[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    known = cv2.remap(1 - covered, mirror[..., 0], mirror[..., 1], cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT)
    # Fade out well before the mirror shows the head itself.
    clear = cv2.GaussianBlur(cv2.erode(known, np.ones((9, 9), np.uint8)).astype(np.float32), (0, 0), 3)
    share = np.clip(2 - 2 * distance / reach, 0, 1) * clear
    mixed = smooth + (reflected - smooth) * share[..., None]
    return np.asarray(np.clip(np.round(mixed), 0, 255), np.uint8)


def alpha_behind(alpha: NDArray[np.uint8], covered: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The alpha (h, w) behind a head that covers `covered` (h, w): that of its surroundings, with a clear edge.

    Where the photo is transparent nothing appears: no background is made up around a head that was cut out.
    """
    smooth = fill_holes(np.repeat(alpha[..., None], 3, axis=2), 1.0 - covered)[..., 0]
    clear = np.clip(_EDGE_GAIN * (smooth - 127.5) + 127.5, 0, 255)
    return np.asarray(np.minimum(alpha, np.round(clear)), np.uint8)


def fill_holes(image: NDArray[np.uint8], known: NDArray[np.float32]) -> NDArray[np.float32]:
    """Smooth continuation of an image (h, w, 3) where `known` (h, w) is 0.

    Averages of the known pixels are pulled down a pyramid and pushed back up where there are none.
    """
    weight = known.astype(np.float32)
    levels = [(image.astype(np.float32) * weight[..., None], weight)]
    while max(levels[-1][1].shape) > 1:
        colour, weight = levels[-1]
        size = (weight.shape[1] + 1) // 2, (weight.shape[0] + 1) // 2
        levels.append((_shrunk(colour, size), _shrunk(weight, size)))
    colour, weight = levels[-1]
    # No pixel is known: the mean of the picture.
    mean = image.mean(axis=(0, 1), dtype=np.float32)
    result = np.where(weight[..., None] > 0, colour / np.maximum(weight, 1e-6)[..., None], mean)
    for colour, weight in reversed(levels[:-1]):
        up = cv2.resize(result, weight.shape[::-1], interpolation=cv2.INTER_LINEAR)
        trust = np.clip(weight * 4, 0, 1)[..., None]
        own = colour / np.maximum(weight, 1e-6)[..., None]
        result = own * trust + up * (1 - trust)
    return np.asarray(result, np.float32)


def _shrunk(image: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    return np.asarray(cv2.resize(cv2.GaussianBlur(image, (5, 5), 1), size, interpolation=cv2.INTER_AREA), np.float32)


def _disc(radius: int) -> NDArray[np.uint8]:
    side = 2 * radius + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), np.uint8)
