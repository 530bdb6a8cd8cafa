"""The examples of the page: pictures, loops of the scenes, then loops of motions; kept for the next start."""

from pathlib import Path
from typing import Any

import pytest

from fantasyportrait.core.paths import example_photos
from fantasyportrait.live.motion_gallery import MotionLoop
from fantasyportrait.schema.builtin_motions import BUILTIN_MOTIONS
from fantasyportrait.service.animator import Animator
from fantasyportrait.studio import example_scenes
from fantasyportrait.studio.example_scenes import SHOWN_MOTIONS, ExampleScenes


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The names of the scenes' loops, then the face and motion of each small one, as they are made."""
    log: list[Any] = []

    def make_scene(animator: Animator, request: Any, output: Path, cancel: Any) -> None:
        log.append(request.portrait.stem)
        output.write_bytes(b"loop")

    def make_motion(
        animator: Animator, photo: Path, face: int, motion: str, folder: Path, *, cancel: Any
    ) -> MotionLoop:
        log.append((face, motion))
        return MotionLoop(folder / f"{motion}.mp4", folder / f"{motion}.webp")

    monkeypatch.setattr(example_scenes, "scene_loop", make_scene)
    monkeypatch.setattr(example_scenes, "motion_loop", make_motion)
    return log


def scenes_of(folder: Path) -> list[dict[str, Any]]:
    """The view when everything is made."""
    scenes = ExampleScenes(folder, Animator())
    scenes.start()
    scenes.join()
    return scenes.view()


def test_scenes_and_motions_are_made_in_the_order_of_the_page(tmp_path: Path, made: list[Any]) -> None:
    scenes = scenes_of(tmp_path / "examples")
    assert made[:3] == [example.path.stem for example in example_photos()]
    assert made[3:] == [(number % 2 + 1, motion) for number, motion in enumerate(SHOWN_MOTIONS)], "faces in turn"
    assert set(SHOWN_MOTIONS) <= set(BUILTIN_MOTIONS)
    first, *others = scenes
    assert (first["name"], first["faces"]) == ("two_people", 2)
    assert [each["name"] for each in first["motions"]] == list(SHOWN_MOTIONS)
    assert first["motions"][0]["url"] == "files/examples/shown/motions/laugh"
    assert all(each["motions"] == [] for each in others)


def test_urls_name_files_of_the_folder(tmp_path: Path, made: list[Any]) -> None:
    for scene in scenes_of(tmp_path / "examples"):
        for url in (scene["poster"], scene["loop"]):
            assert (tmp_path / url.removeprefix("files/")).is_file()


def test_next_start_keeps_what_is_there(tmp_path: Path, made: list[Any]) -> None:
    before = scenes_of(tmp_path / "examples")
    made.clear()
    assert scenes_of(tmp_path / "examples") == before
    assert not [name for name in made if isinstance(name, str)], "no scene is made again"
