"""A detector for pictures of any size: the whole picture, and overlapping tiles of a finer copy of it."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fantasyportrait.faces.detect import Detection, Detector, non_max_suppression

Pixels = NDArray[np.uint8]

TILE = 640
# CenterFace found 57 of 57 faces of 18 px or more, 51 of 16 px. So the smallest face of a photo (50 px) has this many
# pixels in the detector's input, and the overlap of tiles is this many more.
MIN_FACE_SIDE = 20
TILE_SCALE = 0.4
# A box this close to the edge of its tile, in pixels of the tile, may be a piece of a face.
_EDGE = 3


class TiledDetector:
    """Finds faces from 50 px up to the whole picture with a detector that scales its input to 640 px.

    A picture of up to 1600 px is searched once. A larger one is reduced to 0.4 of its size for the small faces and
    searched in tiles of 640 px as well, which is 2.5 times the detector's work for each million pixels of the file.
    """

    def __init__(self, detector: Detector) -> None:
        self._detector = detector

    def detect(self, pixels: Pixels) -> list[Detection]:
        """Faces of an RGB image (H, W, 3), best first; boxes in its pixels."""
        longest = max(pixels.shape[:2])
        if longest * TILE_SCALE <= TILE:
            return self._detector.detect(pixels)
        whole = TILE / longest  # by area: a detector's own scaling skips pixels
        found = _upscaled(self._detector.detect(downscaled(pixels, whole)), whole)
        return non_max_suppression(
            found
            + _upscaled(self._in_tiles(downscaled(pixels, TILE_SCALE), MIN_FACE_SIDE * TILE_SCALE / whole), TILE_SCALE)
        )

    def _in_tiles(self, pixels: Pixels, overlap: float) -> list[Detection]:
        """Faces of all tiles; what is larger than the overlap is seen in the whole picture."""
        found = []
        for tile in tiles(pixels.shape[1], pixels.shape[0], min(int(np.ceil(overlap)), TILE // 2)):
            # Tiles are equal in size, the smaller ones padded: a net that meets another size must be loaded again.
            patch = np.full((TILE, TILE, 3), 127, np.uint8)
            piece = pixels[tile.top : tile.bottom, tile.left : tile.right]
            patch[: piece.shape[0], : piece.shape[1]] = piece
            corner = np.array([tile.left, tile.top], np.float32)
            for detection in self._detector.detect(patch):
                box = detection.box + np.tile(corner, 2)
                if tile.contains(box, pixels.shape[1], pixels.shape[0]):
                    found.append(Detection(box, detection.score, detection.eyes + corner))
        return found


@dataclass(frozen=True)
class Tile:
    """A rectangle of whole pixels: left, top inclusive; right, bottom exclusive."""

    left: int
    top: int
    right: int
    bottom: int

    def contains(self, box: NDArray[np.float32], width: int, height: int) -> bool:
        """False for an xyxy box that touches an edge of the tile inside the picture (width, height)."""
        return bool(
            (self.left == 0 or box[0] > self.left + _EDGE)
            and (self.top == 0 or box[1] > self.top + _EDGE)
            and (self.right == width or box[2] < self.right - _EDGE)
            and (self.bottom == height or box[3] < self.bottom - _EDGE)
        )


def tiles(width: int, height: int, overlap: int) -> Iterator[Tile]:
    """Tiles of at most 640 x 640 that cover a picture, each at least `overlap` pixels into the next."""
    for top, bottom in _spans(height, overlap):
        for left, right in _spans(width, overlap):
            yield Tile(left, top, right, bottom)


def downscaled(pixels: Pixels, scale: float) -> Pixels:
    """The picture (H, W, 3) scaled down by area; the same array for a scale of 1 or more."""
    if scale >= 1:
        return pixels
    height, width = pixels.shape[:2]
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def _spans(length: int, overlap: int) -> list[tuple[int, int]]:
    """Begin and end of evenly spread pieces of a line."""
    if length <= TILE:
        return [(0, length)]
    count = int(np.ceil((length - overlap) / (TILE - overlap)))
    begins = np.linspace(0, length - TILE, count).astype(int)
    return [(int(begin), int(begin) + TILE) for begin in begins]


def _upscaled(found: list[Detection], scale: float) -> list[Detection]:
    """Detections of a picture reduced by `scale` in pixels of the picture itself."""
    return [Detection(d.box / np.float32(scale), d.score, d.eyes / np.float32(scale)) for d in found]
