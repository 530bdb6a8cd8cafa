"""Faces are numbered row by row from the top, left to right within a row."""

import numpy as np
import pytest
from hypothesis import assume, given, strategies as st

from fantasyportrait.faces.reading_order import reading_order

Centre = tuple[float, float]


def boxes(centres: list[Centre], height: float | list[float] = 100.0) -> list[np.ndarray]:
    heights = height if isinstance(height, list) else [height] * len(centres)
    return [
        np.array([x - 0.4 * h, y - 0.5 * h, x + 0.4 * h, y + 0.5 * h], np.float32)
        for (x, y), h in zip(centres, heights, strict=True)
    ]


def test_no_face_and_one_face() -> None:
    assert reading_order([]) == []
    assert reading_order(boxes([(10, 10)])) == [0]


@pytest.mark.parametrize("higher", [-60.0, -30.0, 0.0, 30.0, 60.0])
def test_slightly_taller_neighbour_stays_in_row(higher: float) -> None:
    assert reading_order(boxes([(700, 300 + higher), (200, 300)])) == [1, 0]


def test_somebody_who_stands_clearly_above_comes_first() -> None:
    assert reading_order(boxes([(200, 450), (700, 300), (400, 460)])) == [1, 0, 2]


def test_child_next_to_larger_parent() -> None:
    assert reading_order(boxes([(600, 300), (200, 390)], [200.0, 100.0])) == [1, 0]


@pytest.mark.parametrize("step", [5.0, 20.0, 40.0, 60.0])
def test_a_long_diagonal_is_not_one_row(step: float) -> None:
    """From the top right to the bottom left: the first ones are above the last ones."""
    order = reading_order(boxes([(4000 - 100 * index, step * index) for index in range(40)]))
    rank = {index: place for place, index in enumerate(order)}
    for upper in range(40):
        for lower in range(upper + 1, 40):
            if (lower - upper) * step > 75:
                assert rank[upper] < rank[lower]


@st.composite
def grids(draw: st.DrawFn) -> tuple[list[Centre], list[int]]:
    """Centres of a grid of faces 100 px high, jittered, in any order; and the order in which they are read."""
    columns, rows = draw(st.integers(1, 7)), draw(st.integers(1, 5))
    pitch = draw(st.floats(120, 400))
    jitter = st.floats(-20, 20)
    grid = [
        (pitch * column + draw(jitter), pitch * row + draw(jitter)) for row in range(rows) for column in range(columns)
    ]
    shuffled = draw(st.permutations(range(len(grid))))
    return [grid[index] for index in shuffled], list(np.argsort(shuffled))


@given(grids())
def test_jittered_grid_is_read_row_by_row(grid: tuple[list[Centre], list[int]]) -> None:
    centres, expected = grid
    assert reading_order(boxes(centres)) == expected


def tilted(centres: list[Centre], degrees: float) -> list[Centre]:
    """The centres in a picture that is turned clockwise."""
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return [(x * cosine - y * sine, x * sine + y * cosine) for x, y in centres]


@given(grids(), st.floats(-19, 19))
def test_rows_of_a_tilted_photo_are_read_along_the_tilt(grid: tuple[list[Centre], list[int]], degrees: float) -> None:
    centres, expected = grid
    leans = [degrees + 3 * (index % 3 - 1) for index in range(len(centres) // 3 * 3)]
    assume(len(leans) >= 4 and abs(degrees) >= 2)
    leans += [degrees] * (len(centres) - len(leans))
    assert reading_order(boxes(tilted(centres, degrees)), leans) == expected


@pytest.mark.parametrize("leans", [[12.0, -12.0] * 6, [30.0] * 12, [0.0] * 12])
def test_heads_that_lean_differently_do_not_tilt_the_rows(leans: list[float]) -> None:
    centres = [(150.0 * column, 150.0 * row) for row in range(2) for column in range(6)]
    assert reading_order(boxes(centres), leans) == list(range(12))


@given(
    st.lists(st.tuples(st.integers(0, 900), st.integers(0, 900), st.integers(50, 300)), max_size=12, unique=True),
    st.data(),
)
def test_the_order_of_the_input_does_not_matter(faces: list[tuple[int, int, int]], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(faces))

    def read(each: list[tuple[int, int, int]]) -> list[tuple[int, ...]]:
        table = boxes([(x, y) for x, y, _ in each], [float(h) for _, _, h in each])
        return [tuple(table[index].tolist()) for index in reading_order(table)]

    assert read(faces) == read(shuffled)
    assert sorted(reading_order(boxes([(x, y) for x, y, _ in faces]))) == list(range(len(faces)))
