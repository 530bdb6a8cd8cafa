"""Whether a mouth seems covered: bundled faces as they are, under a mask, under a patch; real ones where present."""

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fantasyportrait.faces.analyser import FaceAnalyser
from fantasyportrait.faces.mouth_cover import mouth_is_covered
from fantasyportrait.images.images import load_photo
from fantasyportrait.media.decoder import LocalDecoder
from fantasyportrait.schema.face import Face

Pixels = NDArray[np.uint8]
# Lower half of the face: from ear to ear along the jaw, and over the nose.
MASK = [234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361, 323, 454, 6]


def painted(photo: Pixels, face: Face, points: list[int], colour: tuple[int, int, int]) -> Pixels:
    picture = photo.copy()
    cv2.fillPoly(picture, [face.landmarks[points, :2].astype(np.int32)], colour)
    return picture


def test_uncovered_mouth_is_not_reported(photo: Pixels, faces: tuple[Face, ...]) -> None:
    for face in faces:
        assert not mouth_is_covered(photo, face.landmarks)
        half = cv2.resize(photo, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        assert not mouth_is_covered(np.asarray(half, np.uint8), face.landmarks * np.float32(0.5))


@pytest.mark.parametrize("colour", [(240, 240, 240), (20, 20, 24), (120, 180, 210)])
def test_mask_is_reported(photo: Pixels, faces: tuple[Face, ...], colour: tuple[int, int, int]) -> None:
    for face in faces:
        assert mouth_is_covered(painted(photo, face, MASK, colour), face.landmarks)


def test_patch_of_skin_colour_over_mouth_and_chin_is_reported(photo: Pixels, faces: tuple[Face, ...]) -> None:
    for face in faces:
        x, y = face.landmarks[117, :2].astype(int)
        skin = tuple(int(value) for value in photo[y, x])
        assert mouth_is_covered(painted(photo, face, MASK[:-1], skin), face.landmarks)  # type: ignore[arg-type]


def test_face_outside_of_the_photo_is_not_reported(photo: Pixels, faces: tuple[Face, ...]) -> None:
    assert not mouth_is_covered(photo, faces[0].landmarks + np.float32([5000, 0, 0]))


@pytest.mark.parametrize(("name", "covered"), [
    ("03_hand_over_mouth.jpg", True),
    ("03_surgical_mask.jpg", True),
    ("group8.png", False),
    ("02_laughing.png", False),
    ("05_close_selfie.jpg", False),
])  # fmt: skip
def test_covered_and_uncovered_cases(analyser: FaceAnalyser, cases_dir: Path, name: str, covered: bool) -> None:
    pixels = load_photo(cases_dir / name).pixels
    for face in analyser.find(pixels):
        assert mouth_is_covered(pixels, face.landmarks) == covered


@pytest.mark.parametrize("name", ["statue.jpg", "man.jpeg", "woman.jpg", "two_person.png"])
def test_real_photos_are_uncovered(analyser: FaceAnalyser, media_dir: Path, name: str) -> None:
    pixels = load_photo(media_dir / name).pixels
    assert not any(mouth_is_covered(pixels, face.landmarks) for face in analyser.find(pixels))


@pytest.mark.parametrize("name", ["biden.mp4", "trump.mp4", "expressive.mp4", "mild.mp4", "jgz.mp4"])
def test_real_clips_are_uncovered(analyser: FaceAnalyser, media_dir: Path, name: str) -> None:
    seen = 0
    for _, pixels in LocalDecoder().frames(media_dir / name, Fraction(1), 0, 3):
        for face in analyser.find(pixels):
            assert not mouth_is_covered(pixels, face.landmarks)
            seen += 1
    assert seen >= 3
