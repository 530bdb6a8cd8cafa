"""Small portraits: sizes, crops, and what is kept."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st

from fantasyportrait.images.images import Photo
from fantasyportrait.schema.face import Face, HeadPose
from fantasyportrait.service.input_reader import InputReader
from fantasyportrait.service.small_portraits import FACE_SIDE, SmallPortraits, _crop


def _face(number: int, box: tuple[float, float, float, float]) -> Face:
    landmarks = np.zeros((478, 3), np.float32)
    landmarks[:, 0] = np.linspace(box[0], box[2], 478)
    landmarks[:, 1] = np.linspace(box[1], box[3], 478)
    return Face(number, np.array(box, np.float32), landmarks, np.zeros(52, np.float32), HeadPose(0, 0, 0), 1.0)


@given(st.integers(60, 300), st.integers(60, 300), st.data())
def test_crop_lies_in_the_photo_and_shows_the_face(width: int, height: int, data: st.DataObject) -> None:
    side = data.draw(st.integers(20, min(width, height)))
    left, top = data.draw(st.integers(0, width - side)), data.draw(st.integers(0, height - side))
    face = _face(1, (left, top, left + side, top + side))
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[top : top + side, left : left + side] = 255
    crop = _crop(pixels, face, [face])
    assert crop.pixels.shape == (FACE_SIDE, FACE_SIDE, 3)
    box = crop.faces[0].box
    x, y = (box[:2] + box[2:]) / 2
    assert 0 <= x <= FACE_SIDE and 0 <= y <= FACE_SIDE
    assert (crop.pixels[min(int(y), FACE_SIDE - 1), min(int(x), FACE_SIDE - 1)] > 200).all()
    if 2.2 * side <= min(width, height):
        assert box.min() >= -1 and box.max() <= FACE_SIDE + 1


def test_last_portraits_are_kept_by_their_content(models_dir: Path, two_person: Path) -> None:
    portraits = SmallPortraits(InputReader(models_dir))
    small = portraits.of(two_person)
    assert portraits.of(two_person) is small
    assert small.size == (1024, 576) and small.pixels.shape == (270, 480, 3)
    assert [face.id for face in small.faces] == [1, 2] == list(small.crops)
    assert all(face.mask.shape == (270, 480) and face.mask.max() == 255 for face in small.faces)
    for number in range(8):
        portraits.add(Photo(small.pixels, (), str(number)), ())
    assert portraits.of(two_person) is not small


def test_faces_that_are_given_later_replace_the_kept_ones(models_dir: Path, two_person: Path) -> None:
    inputs = InputReader(models_dir)
    portraits, (photo, faces) = SmallPortraits(inputs), inputs.faces(two_person)
    portraits.add(photo, faces)
    portraits.add(photo, faces[:1])
    assert [face.id for face in portraits.of(two_person).faces] == [1]


@pytest.mark.parametrize("given_as", ["path", "photo"])
def test_portrait_in_memory_is_the_same_as_its_file(models_dir: Path, two_person: Path, given_as: str) -> None:
    portraits = SmallPortraits(InputReader(models_dir))
    photo = portraits._inputs.decoder.photo(two_person)
    first = portraits.of(photo if given_as == "path" else two_person)
    assert portraits.of(two_person if given_as == "path" else photo) is first
