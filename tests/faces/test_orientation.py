"""Pictures with sideways faces are rotated; upright ones are analysed once."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from fantasyportrait.faces.analyser import FaceAnalyser
from fantasyportrait.faces.landmarks import Landmarks
from fantasyportrait.faces.mesh import LEFT_EYE, RIGHT_EYE
from fantasyportrait.faces.orientation import Rotation, best_orientation, rotated

Pixels = NDArray[np.uint8]
BLANK = np.zeros((8, 8, 3), np.uint8)


def face(roll: float) -> Landmarks:
    points = np.zeros((478, 3), np.float32)
    points[LEFT_EYE, :2] = [np.cos(np.radians(roll)), np.sin(np.radians(roll))]
    points[RIGHT_EYE, :2] = 0
    return Landmarks(points, 1.0)


class Reader:
    """Faces by orientation: the picture's first pixel moves through the corners as the picture is turned."""

    def __init__(self, rolls: dict[Rotation, Sequence[float]]) -> None:
        self.rolls, self.read_turns = rolls, list[Rotation]()
        self.picture = BLANK.copy()
        self.picture[0, 0] = 255

    def __call__(self, picture: Pixels) -> list[Landmarks]:
        corners: dict[Rotation, bool] = {
            0: picture[0, 0, 0] > 0, 90: picture[0, -1, 0] > 0, 180: picture[-1, -1, 0] > 0, 270: picture[-1, 0, 0] > 0
        }  # fmt: skip
        (turn,) = [turn for turn, lit in corners.items() if lit]
        self.read_turns.append(turn)
        return [face(roll) for roll in self.rolls.get(turn, ())]


@pytest.mark.parametrize("rolls", [[0], [-55], [10, 95], [0, 90, -90], [0, 5, 100, 170, 95]])
def test_upright_face_keeps_picture_without_cost(rolls: list[float]) -> None:
    reader = Reader({0: rolls, 90: [0] * 9})
    assert best_orientation([reader.picture], reader) == 0
    assert reader.read_turns == [0]


@pytest.mark.parametrize("turn", [90, 180, 270])
@pytest.mark.parametrize("straight", [[], [90], [180, 175]])
def test_faces_upright_in_another_orientation_rotate_picture(turn: Rotation, straight: list[float]) -> None:
    reader = Reader({0: straight, turn: [4, -4]})
    assert best_orientation([reader.picture], reader) == turn


def test_picture_rotates_only_for_clear_majority() -> None:
    lying = [90.0] * 5
    assert best_orientation([Reader({}).picture], Reader({0: [0, *lying], 270: [0, 0, 0]})) == 270
    assert best_orientation([Reader({}).picture], Reader({0: [0, *lying], 270: [0, 0]})) == 0


def test_no_face_at_all_turns_nothing() -> None:
    reader = Reader({})
    assert best_orientation([reader.picture] * 3, reader) == 0
    assert len(reader.read_turns) == 12


def test_what_was_read_before_is_not_read_again() -> None:
    reader = Reader({0: [90], 90: [0]})
    assert best_orientation([reader.picture], reader, known=[face(90)]) == 90
    assert 0 not in reader.read_turns


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_turning_is_clockwise(turn: Rotation) -> None:
    picture = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    expected = {0: picture[0, 0], 90: picture[1, 0], 180: picture[1, 3], 270: picture[0, 3]}[turn]
    assert (rotated(picture, turn)[0, 0] == expected).all()


@pytest.mark.parametrize(("quarters", "said"), [
    (1, "turned by 90 degrees clockwise"), (2, "turned by 180 degrees"), (3, "turned by 90 degrees counter-clockwise"),
])  # fmt: skip
def test_a_photo_comes_back_upright(analyser: FaceAnalyser, photo: Pixels, quarters: int, said: str) -> None:
    messages: list[str] = []
    pixels, faces = analyser.find_upright(np.ascontiguousarray(np.rot90(photo, quarters)), messages)
    assert np.array_equal(pixels, photo)
    assert len(faces) == 2 and all(abs(face.pose.roll) < 20 for face in faces)
    assert said in messages[0] and len(messages) == 1


def test_an_upright_photo_is_searched_once(
    analyser: FaceAnalyser, photo: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, ...]] = []
    real = analyser.read
    monkeypatch.setattr(
        analyser, "read", lambda pixels, max_faces=200: seen.append(pixels.shape) or real(pixels, max_faces)
    )
    messages: list[str] = []
    pixels, _ = analyser.find_upright(photo, messages)
    assert pixels is photo and seen == [photo.shape] and messages == []


def test_one_upright_face_and_one_that_lies(analyser: FaceAnalyser, photo: Pixels) -> None:
    lying = np.ascontiguousarray(np.rot90(photo[:, 512:], 1))  # (512, 576)
    both = np.full((576, 1100, 3), 128, np.uint8)
    both[:, :512] = photo[:, :512]
    both[:512, 520:1096] = lying
    messages: list[str] = []
    pixels, faces = analyser.find_upright(both, messages)
    assert pixels is both and messages == []
    assert len(faces) == 2 and abs(faces[0].pose.roll) < 20
