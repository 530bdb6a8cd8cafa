"""Warnings about cast faces that are small in the video, and the advised side."""

import re

import numpy as np
import pytest
from hypothesis import assume, given, strategies as st

from fantasyportrait.faces.face_size_check import small_face_warnings
from fantasyportrait.images.images import even_size, multiple_size
from fantasyportrait.schema.face import Face, HeadPose
from fantasyportrait.schema.request import MAX_SIDE


def face(side: float, number: int = 1) -> Face:
    box = np.array([0, 0, side * 0.8, side], np.float32)
    return Face(number, box, np.zeros((478, 3), np.float32), np.zeros(52, np.float32), HeadPose(0, 0, 0), 1.0)


def test_faces_that_stay_large_need_no_word() -> None:
    size = even_size(4000, 3000, 1280)
    assert small_face_warnings([face(160)], (4000, 3000), size, lambda side: even_size(4000, 3000, side)) == []
    assert small_face_warnings([], (4000, 3000), size, lambda side: even_size(4000, 3000, side)) == []


def test_small_face_warning_names_max_side() -> None:
    size = even_size(4000, 3000, 1280)
    faces = [face(120, 1), face(300, 2), face(100, 3)]
    (said,) = small_face_warnings(faces, (4000, 3000), size, lambda side: even_size(4000, 3000, side))
    assert said.startswith("faces 1, 3 are as little as 32 px large in the video (1280 x 960)")
    assert "--max-side 2000 keeps each of them at 50 px" in said


def test_crop_is_advised_where_no_side_helps() -> None:
    size = even_size(11_000, 3000, 1280)
    (said,) = small_face_warnings([face(50)], (11_000, 3000), size, lambda side: even_size(11_000, 3000, side))
    assert "crop the photo" in said and "--max-side" not in said


@pytest.mark.parametrize("wan", [False, True])
@given(width=st.integers(200, 9000), height=st.integers(200, 9000), side=st.floats(50, 400))
def test_advised_side_is_minimal(wan: bool, width: int, height: int, side: float) -> None:
    assume(side < min(width, height))

    def size_of(longest: int) -> tuple[int, int]:
        return multiple_size(width, height, longest, 16) if wan else even_size(width, height, longest)

    said = small_face_warnings([face(side)], (width, height), size_of(720), size_of)
    if not said:
        return
    advised = re.search(r"--max-side (\d+)", said[0])
    if advised is None:
        assert side * MAX_SIDE / max(width, height) < 51
        return
    longest = int(advised[1])
    assert small_face_warnings([face(side)], (width, height), size_of(longest), size_of) == []
    assert longest <= max(width, height) * 50 / side + 20
