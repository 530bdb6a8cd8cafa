"""The bundled example pictures: their faces are found in reading order, and their script draws them."""

import importlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fantasyportrait.core.paths import ExamplePhoto, example_photo, example_photos
from fantasyportrait.faces.analyser import FaceAnalyser
from fantasyportrait.images.images import load_photo
from fantasyportrait.schema.builtin_motions import BUILTIN_MOTIONS


@pytest.mark.parametrize("example", example_photos(), ids=lambda example: example.name)
def test_every_face_of_an_example_is_found_and_has_a_motion(example: ExamplePhoto, analyser: FaceAnalyser) -> None:
    faces = analyser.find(load_photo(example.path).pixels)

    assert len(faces) == len(example.motions)
    assert set(example.motions) <= set(BUILTIN_MOTIONS)


def test_the_five_neighbours_are_numbered_row_by_row(analyser: FaceAnalyser) -> None:
    faces = analyser.find(load_photo(_named("five_neighbours").path).pixels)
    middles = [((f.box[0] + f.box[2]) / 2, (f.box[1] + f.box[3]) / 2) for f in faces]

    assert [x for x, _ in middles[:3]] == sorted(x for x, _ in middles[:3])
    assert middles[3][0] < middles[4][0]
    assert max(y for _, y in middles[:3]) < min(y for _, y in middles[3:])


def test_the_first_example_is_the_one_of_two_people() -> None:
    assert example_photos()[0].path == example_photo()


@pytest.mark.parametrize("name", ["three_friends", pytest.param("five_neighbours", marks=pytest.mark.slow)])
def test_the_script_draws_the_committed_picture(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _named(name).path
    monkeypatch.syspath_prepend(str(path.parent / "characters"))
    scenes = importlib.import_module("scenes")

    drawn = scenes.draw(scenes.SCENES[name], 0.12)

    with Image.open(path) as committed:
        small = np.asarray(committed.resize(drawn.size, Image.Resampling.BOX), np.float32)
    difference = np.abs(small - np.asarray(drawn, np.float32))
    # In so small a picture a character is up to half a pixel off; one that is missing or another adds more than 10.
    assert float(difference.mean()) < 8
    assert float(np.median(difference)) < 3


@pytest.mark.parametrize("name", ["three_friends.jpg", "five_neighbours.jpg", "social.png", "favicon.png"])
def test_drawn_pictures_are_small_files(name: str, repository: Path) -> None:
    assert (repository / "assets" / name).stat().st_size < 400_000


def _named(name: str) -> ExamplePhoto:
    return next(example for example in example_photos() if example.name == name)
