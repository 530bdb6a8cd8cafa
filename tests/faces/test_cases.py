"""Photos that failed once, each with its right number of faces; the real files where they are available."""

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fantasyportrait.core.errors import FaceError
from fantasyportrait.faces.analyser import FaceAnalyser
from fantasyportrait.images.images import load_photo
from fantasyportrait.schema.face import Face

Pixels = NDArray[np.uint8]
# Squares around the two heads of the bundled photo.
SQUARES = ((160, 40, 440), (650, 40, 930))


def head(photo: Pixels, number: int, side: int) -> Pixels:
    left, top, right = SQUARES[number]
    square = photo[top : top + right - left, left:right]
    return np.asarray(cv2.resize(square, (side, side), interpolation=cv2.INTER_AREA), np.uint8)


def group(photo: Pixels, size: tuple[int, int], columns: int, rows: int, side: int) -> Pixels:
    """A grid of heads on a plain wall."""
    wall = np.full((size[1], size[0], 3), (120, 140, 110), np.uint8)
    across, down = size[0] // columns, size[1] // rows
    for index in range(columns * rows):
        left = index % columns * across + (across - side) // 2
        top = index // columns * down + (down - side) // 2
        wall[top : top + side, left : left + side] = head(photo, index % 2, side)
    return wall


def test_a_group_of_twenty_four_in_twelve_megapixels(analyser: FaceAnalyser, photo: Pixels) -> None:
    faces = analyser.find(group(photo, (4000, 3000), 6, 4, 200))
    assert [face.id for face in faces] == list(range(1, 25))
    for face in faces:
        x, y = (face.box[:2] + face.box[2:]) / 2
        assert (int(x // 666.67), int(y // 750)) == ((face.id - 1) % 6, (face.id - 1) // 6)
        assert 70 < face.side < 160, "pixels of the file"


def test_small_faces_of_a_wide_panorama(analyser: FaceAnalyser, photo: Pixels) -> None:
    """They have 10 px where the whole picture is searched at once."""
    faces = analyser.find(group(photo, (8000, 1000), 5, 1, 200))
    assert len(faces) == 5 and all(face.side < 160 for face in faces)


def test_tiles_find_no_false_faces(analyser: FaceAnalyser) -> None:
    rng = np.random.default_rng(5)
    grain = rng.integers(0, 255, (250, 330, 3), np.uint8)
    for smooth in (1.0, 4.0, 12.0):
        texture = cv2.resize(cv2.GaussianBlur(grain, (0, 0), smooth), (3300, 2500), interpolation=cv2.INTER_CUBIC)
        texture = cv2.normalize(texture, None, 0, 255, cv2.NORM_MINMAX)  # type: ignore[call-overload]
        with pytest.raises(FaceError, match="no face was found"):
            analyser.find(texture)


def test_more_faces_than_are_taken_are_counted(analyser: FaceAnalyser, photo: Pixels) -> None:
    crowd = group(photo, (1200, 800), 4, 2, 180)
    crowd[40:320, 30:310] = head(photo, 0, 280)
    crowd[450:730, 630:910] = head(photo, 1, 280)
    messages: list[str] = []
    faces = analyser.find(crowd, messages, max_faces=2)
    assert [face.id for face in faces] == [1, 7], "the numbers that they have among all faces"
    assert faces[0].box[1] < 320 < 450 < faces[1].box[3], "the two largest"
    assert messages == [
        "the photo shows 8 faces: the 2 largest are used and 6 were left out, because no more are taken from one "
        "photo here"
    ]
    messages.clear()
    assert len(analyser.find(crowd, messages, max_faces=8)) == 8 and messages == []


def test_night_photo_close_up_and_oval(analyser: FaceAnalyser, photo: Pixels) -> None:
    man = np.ascontiguousarray(photo[:, 512:])
    assert len(analyser.find(np.asarray(man * 0.25, np.uint8))) == 1
    assert len(analyser.find(np.ascontiguousarray(photo[165:330, 690:895]))) == 1, "the forehead is outside"
    oval = np.zeros(man.shape[:2], np.uint8)
    cv2.ellipse(oval, (290, 240), (140, 190), 0, 0, 360, 255, -1)
    assert len(analyser.find(np.where(oval[..., None] > 0, man, 255).astype(np.uint8))) == 1


@pytest.mark.parametrize(("name", "count", "turned"), [
    ("01_cheeks_touch.jpg", 2, False),
    ("02_laughing.png", 1, False),
    ("03_surgical_mask.jpg", 1, False),
    ("03_hand_over_mouth.jpg", 1, False),
    ("04_group24_12mp.jpg", 24, False),
    ("04_panorama_8000.jpg", 3, False),
    ("05_no_forehead.jpg", 1, False),
    ("05_close_selfie.jpg", 1, False),
    ("06_48mp.jpg", 1, False),
    ("07_driver.jpg", 1, False),
    ("08_photo_left.jpg", 1, True),
    ("08_photo_right.jpg", 1, True),
    ("10_night.jpg", 1, False),
    ("11_oval_cutout.png", 1, False),
    ("12_scan.tif", 1, False),
    ("12_paint.bmp", 1, False),
    ("group8.png", 8, False),
    ("hostile/faces144.jpg", 144, False),
])  # fmt: skip
def test_the_cases(analyser: FaceAnalyser, cases_dir: Path, name: str, count: int, turned: bool) -> None:
    if not (cases_dir / name).is_file():
        pytest.skip(f"{name} is not in the folder")
    messages: list[str] = []
    _, faces = analyser.find_upright(load_photo(cases_dir / name).pixels, messages)
    assert len(faces) == count
    assert [message for message in messages if "turned" not in message] == [] and bool(messages) == turned
    assert rows_are_read(faces)


def rows_are_read(faces: tuple[Face, ...]) -> bool:
    """Whether each face is to the right of the one before, or lower."""
    centres = [(face.box[:2] + face.box[2:]) / 2 for face in faces]
    return all(b[0] > a[0] or b[1] > a[1] for a, b in pairwise(centres))


@pytest.mark.parametrize(("name", "count"), [
    ("man.jpeg", 1), ("statue.jpg", 1), ("woman.jpg", 1), ("two_person.png", 2), ("cat.jpg", 0),
])  # fmt: skip
def test_real_photos_are_not_turned(analyser: FaceAnalyser, media_dir: Path, name: str, count: int) -> None:
    photo = load_photo(media_dir / name).pixels
    messages: list[str] = []
    if count == 0:
        with pytest.raises(FaceError, match="no face was found"):
            analyser.find_upright(photo, messages)
        return
    pixels, faces = analyser.find_upright(photo, messages)
    assert pixels is photo and len(faces) == count and messages == []
