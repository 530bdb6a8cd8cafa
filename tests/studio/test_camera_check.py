"""The check of a webcam's picture: what it says of a face, and which pictures it refuses."""

import base64
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st
from numpy.typing import NDArray

from fantasyportrait.core.errors import RequestError
from fantasyportrait.faces.detect import Detection
from fantasyportrait.images.images import load_photo, resize
from fantasyportrait.service.input_reader import InputReader
from fantasyportrait.studio.camera_check import HEIGHT, WIDTH, CameraCheck, decode_picture, judge

LIGHT = np.full((HEIGHT, WIDTH, 3), 140, np.uint8)


def text(pixels: NDArray[np.uint8]) -> str:
    """A picture as the page sends it."""
    return base64.b64encode(pixels.tobytes()).decode()


def face(left: float, top: float, right: float, bottom: float) -> Detection:
    """A detected face."""
    return Detection.with_level_eyes(np.array([left, top, right, bottom], np.float32), 0.9)


@pytest.mark.parametrize(
    ("pixels", "found", "seen"),
    [
        (LIGHT, [], "no_face"),
        (LIGHT // 10, [], "too_dark"),
        (LIGHT // 10, [face(50, 30, 100, 90)], "too_dark"),
        (LIGHT, [face(60, 50, 78, 70)], "closer"),
        (LIGHT, [face(0, 30, 50, 90)], "centre"),
        (LIGHT, [face(50, 70, 110, 122)], "centre"),
        (LIGHT, [face(50, 30, 100, 90), face(110, 40, 140, 80)], "several"),
        (LIGHT, [face(50, 30, 100, 90)], "good"),
    ],
)
def test_face_is_judged_by_light_size_and_place(pixels: NDArray[np.uint8], found: list[Detection], seen: str) -> None:
    assert judge(pixels, found) == seen


def test_real_face_is_seen_and_a_dark_one_is_not(two_person: Path, models_dir: Path) -> None:
    pixels = load_photo(two_person).pixels
    half = np.ascontiguousarray(pixels[:, : round(pixels.shape[0] * WIDTH / HEIGHT)])
    small = resize(half, (WIDTH, HEIGHT))
    check = CameraCheck(InputReader(models_dir))
    assert check.look(text(small)) == "good"
    assert check.look(text(small // 12)) == "too_dark"
    assert check.look(text(LIGHT)) == "no_face"


@given(st.one_of(st.none(), st.integers(), st.text(max_size=40), st.binary(max_size=300).map(base64.b64encode)))
def test_other_values_are_refused_in_a_sentence(value: object) -> None:
    with pytest.raises(RequestError, match="160 x 120"):
        decode_picture(value)


@pytest.mark.parametrize("change", ["!", "é", "\n", "="])
def test_text_that_is_not_base64_is_refused(change: str) -> None:
    with pytest.raises(RequestError, match="160 x 120"):
        decode_picture(text(LIGHT)[:-1] + change)
