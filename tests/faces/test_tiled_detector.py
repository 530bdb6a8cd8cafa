"""Tiles cover a picture; no face is missed between them, and parts of faces are not detected as faces."""

from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given, strategies as st
from numpy.typing import NDArray

from fantasyportrait.faces.detect import Detection
from fantasyportrait.faces.tiled_detector import TILE, TiledDetector, tiles

Pixels = NDArray[np.uint8]


class SquareDetector:
    """Finds the white squares of a picture, and pieces of them, if they have 15 px at the size of its net, 640 px."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def detect(self, pixels: Pixels) -> list[Detection]:
        self.shapes.append(pixels.shape)
        scale = TILE / max(pixels.shape[:2])
        _, _, stats, _ = cv2.connectedComponentsWithStats((pixels[..., 0] > 200).astype(np.uint8))
        boxes = [np.array([x, y, x + w, y + h], np.float32) for x, y, w, h, _ in stats[1:]]
        large = [box for box in boxes if min(box[2] - box[0], box[3] - box[1]) * scale >= 15]
        return [Detection.with_level_eyes(box, 0.9) for box in large]


def squares(size: tuple[int, int], places: list[tuple[int, int, int]]) -> Pixels:
    picture = np.zeros((size[1], size[0], 3), np.uint8)
    for left, top, side in places:
        picture[top : top + side, left : left + side] = 255
    return picture


def found(picture: Pixels) -> list[list[int]]:
    return sorted([round(float(value)) for value in d.box] for d in TiledDetector(SquareDetector()).detect(picture))


def test_ordinary_picture_is_searched_once() -> None:
    detector = SquareDetector()
    TiledDetector(detector).detect(np.zeros((900, 1600, 3), np.uint8))
    assert detector.shapes == [(900, 1600, 3)]


def test_every_tile_has_the_same_size() -> None:
    detector = SquareDetector()
    TiledDetector(detector).detect(np.zeros((1000, 4000, 3), np.uint8))
    assert set(detector.shapes[1:]) == {(TILE, TILE, 3)} and len(detector.shapes) > 2


@pytest.mark.parametrize("size", [(4000, 3000), (8000, 2000), (2000, 1700), (12000, 800)])
def test_squares_of_any_size_and_place_found_once(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(size[0])
    for side in (52, 80, 150, 300, 600):
        for _ in range(4):
            left, top = int(rng.integers(0, size[0] - side)), int(rng.integers(0, size[1] - side))
            (box,) = found(squares(size, [(left, top, side)]))
            expected = [left, top, left + side, top + side]
            assert np.abs(np.array(box) - expected).max() <= 0.03 * max(size) / 6, (side, box, expected)


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, TILE // 2))
def test_tiles_cover_the_picture_and_overlap(width: int, height: int, overlap: int) -> None:
    every = list(tiles(width, height, overlap))
    for length, spans in ((width, {(t.left, t.right) for t in every}), (height, {(t.top, t.bottom) for t in every})):
        ordered = sorted(spans)
        assert ordered[0][0] == 0 and ordered[-1][1] == length
        assert all(end - begin <= TILE for begin, end in ordered)
        assert all(before[1] - after[0] >= overlap for before, after in pairwise(ordered))
    assert len(every) <= (width / (TILE - overlap) + 1) * (height / (TILE - overlap) + 1)
