"""Looks and the matching of faces with people."""

from itertools import permutations

import cv2
import numpy as np
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from fantasyportrait.faces.descriptor import Descriptor, assign
from fantasyportrait.schema.face import Face


@given(
    arrays(
        np.float64, st.tuples(st.integers(0, 4), st.integers(0, 4)), elements=st.sampled_from([0.1, 0.4, 1.0, np.inf])
    )
)
def test_pairs_are_unique_and_possible(costs: NDArray[np.float64]) -> None:
    pairs = assign(costs)
    assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == len(pairs)
    assert all(np.isfinite(costs[pair]) for pair in pairs)
    left = np.delete(np.delete(costs, [row for row, _ in pairs], 0), [column for _, column in pairs], 1)
    assert not np.isfinite(left).any()


@given(arrays(np.float64, (2, 2), elements=st.floats(0, 1)))
def test_two_people_get_the_best_answer(costs: NDArray[np.float64]) -> None:
    best = min(costs[0, a] + costs[1, b] for a, b in permutations(range(2)))
    assert sum(costs[pair] for pair in assign(costs)) <= best + 1e-6


def test_descriptors_tell_people_apart_but_not_sizes_or_light(
    photo: NDArray[np.uint8], faces: tuple[Face, ...]
) -> None:
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
