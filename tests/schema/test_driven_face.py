"""A driven face is checked when it is made, and maps each frame to a row of its motion."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from fantasyportrait.schema.driven_face import DrivenFace
from fantasyportrait.testing.tiny_faces import tiny_driven_face


def made(rows: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(rows, 554)).astype(np.float32)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=12))
def test_driven_face_frames_map_to_rows(rows: list[int]) -> None:
    one = tiny_driven_face(1, made(5))
    assert DrivenFace(one.face, one.motion, rows=np.array(rows)).frame_rows.tolist() == rows
    assert one.frame_rows.tolist() == [0, 1, 2, 3, 4]
    assert DrivenFace(one.face).frame_rows.tolist() == []


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (np.array([0, 5]), "goes from 0 to 5, but its motion has 5 rows"),
        (np.array([-1, 0]), "goes from -1 to 0"),
        (np.array([0.0, 1.0]), "float64"),
        (np.zeros((2, 1), np.int64), r"\(2, 1\)"),
    ],
)
def test_driven_face_refuses_rows_outside_motion(rows: np.ndarray, words: str) -> None:
    one = tiny_driven_face(3, made(5))
    with pytest.raises(ValueError, match=f"rows of face 3 .*{words}"):
        DrivenFace(one.face, one.motion, rows=rows)


def test_driven_face_without_motion_has_no_rows() -> None:
    with pytest.raises(ValueError, match="its motion has 0 rows"):
        DrivenFace(tiny_driven_face(1, made(1)).face, rows=np.zeros(3, np.int64))
