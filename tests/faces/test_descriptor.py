"""Appearance descriptors and the assignment of faces to people."""

from itertools import permutations

import cv2
import numpy as np
import pytest
from hypothesis import example, given, strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from fantasyportrait.faces.descriptor import Descriptor, assign
from fantasyportrait.faces.tracklet import assign_people
from fantasyportrait.schema.face import Face


def least_total(costs: NDArray[np.float64]) -> tuple[int, float]:
    """Brute force: the largest possible number of pairs, and the least total cost of so many."""
    if costs.shape[0] > costs.shape[1]:
        costs = costs.T
    chosen = [costs[range(len(costs)), list(columns)] for columns in permutations(range(costs.shape[1]), len(costs))]
    finite = [row[np.isfinite(row)] for row in chosen]
    most = max(len(row) for row in finite)
    return most, min(float(row.sum()) for row in finite if len(row) == most)


sizes = st.tuples(st.integers(0, 6), st.integers(0, 6))
entries = st.one_of(st.just(np.inf), st.floats(-1, 2), st.sampled_from([0.1, 0.4, 1.0]))


@example(np.array([[0.10, 0.20], [0.15, np.inf]]))
@given(arrays(np.float64, sizes, elements=entries))
def test_assignment_is_the_best_of_all(costs: NDArray[np.float64]) -> None:
    pairs = assign(costs)
    assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == len(pairs)
    assert all(np.isfinite(costs[pair]) for pair in pairs)
    most, total = least_total(costs)
    assert len(pairs) == most
    assert sum(costs[pair] for pair in pairs) == pytest.approx(total, abs=1e-9)


def test_assignment_of_many_rows_to_few_columns() -> None:
    """64 tracklets, 8 faces, the last of which fits a single tracklet."""
    costs = np.random.default_rng(3).uniform(0.5, 1.0, (64, 8))
    owners = [(5 + 7 * column, column) for column in range(8)]
    for pair in owners:
        costs[pair] = 0.1
    costs[:54, 7] = costs[55:, 7] = np.inf
    costs[54, 0] = 0.05
    assert sorted(assign(costs)) == sorted(owners)


@pytest.mark.parametrize(("costs", "pairs"), [
    ([[0.10, 0.20], [0.15, np.inf]], [(0, 1), (1, 0)]),  # both can be there
    ([[0.03, 0.70], [0.51, np.inf]], [(0, 0)]),  # person 0 did not move, and face 1 is a new person
    ([[0.90, 1.20]], [(0, 0)]),  # sudden change of light
    ([[0.90, np.inf], [0.20, 0.10]], [(0, 0), (1, 1)]),
    ([[np.inf], [np.inf]], []),
    ([], []),
])  # fmt: skip
def test_assignment_prefers_new_person_over_bad_match(costs: list[list[float]], pairs: list[tuple[int, int]]) -> None:
    assert sorted(assign_people(np.array(costs).reshape(len(costs), -1 if costs else 2))) == pairs


def test_descriptor_separates_people_not_size_or_light(photo: NDArray[np.uint8], faces: tuple[Face, ...]) -> None:
    looks = [Descriptor.of(photo, face.landmarks) for face in faces]
    assert looks[0].distance(looks[0]) < 1e-3
    assert looks[0].distance(looks[1]) > 0.4
    half = cv2.resize(photo, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    darker = (photo * 0.95).astype(np.uint8)
    for face, look in zip(faces, looks, strict=True):
        assert look.distance(Descriptor.of(half, face.landmarks / 2)) < 0.15
        assert look.distance(Descriptor.of(darker, face.landmarks)) < 0.25
    between = looks[0].blended(looks[1], 0.5)
    assert between.distance(looks[0]) < looks[1].distance(looks[0])
