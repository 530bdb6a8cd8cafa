"""The loops of built-in motions of a session: made in the lane, one a turn, for the photo that is shown."""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import FaceError, RequestError
from fantasyportrait.live.motion_gallery import MotionLoop
from fantasyportrait.schema.face_edits import FaceEdits
from fantasyportrait.service.animator import Animator
from fantasyportrait.studio import motion_loops
from fantasyportrait.studio.motion_loops import FOLDER, MotionLoops
from fantasyportrait.studio.session_store import Session, SessionStore
from fantasyportrait.studio.state import PhotoFace, PhotoState


class Lane:
    """A lane whose turns the test takes."""

    def __init__(self) -> None:
        self.turns: list[Callable[[], None]] = []

    def submit(self, work: Callable[..., Any], *given: Any) -> "Future[Any]":
        self.turns.append(lambda: work(*given))
        return Future()

    def take(self) -> None:
        self.turns.pop(0)()

    def run(self) -> None:
        while self.turns:
            self.take()


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, str]]:
    """The loops that are made: photo, face and motion."""
    log: list[tuple[str, int, str]] = []

    def make(
        animator: Animator, photo: Path, face: int, motion: str, folder: Path, *, edits: FaceEdits, cancel: CancelToken
    ) -> MotionLoop:
        cancel.check()
        log.append((photo.name, face, motion))
        if motion == "yawn":
            raise FaceError("the face is too small")
        return MotionLoop(folder / f"{motion}{face}.mp4", folder / f"{motion}{face}.webp")

    monkeypatch.setattr(motion_loops, "motion_loop", make)
    return log


def photo(name: str) -> PhotoState:
    faces = tuple(PhotoFace(number, (0.1, 0.1, 0.2, 0.2), "t.jpg") for number in (1, 2))
    return PhotoState(name, f"files/{name}.png", name, "s.jpg", (640, 480), faces)


def new_session(store: SessionStore, name: str = "a") -> Session:
    session = store.find(store.create())
    assert session is not None
    show(session, name)
    return session


def show(session: Session, name: str) -> None:
    session.update(lambda state: replace(state, photo=photo(name)))


@pytest.fixture
def store(tmp_path: Path) -> SessionStore:
    return SessionStore(tmp_path, 60.0)


def gallery(lane: Lane) -> MotionLoops:
    """Loops in an animator for which the sha256 of a photo is its name."""
    made: Any = lane
    portraits = SimpleNamespace(of=lambda photo: SimpleNamespace(sha256=photo.stem))
    animator: Any = SimpleNamespace(small_portraits=portraits)
    return MotionLoops(animator, made, Path("examples"))


def test_loops_are_made_one_a_turn_and_shown_without_suffix(store: SessionStore, made: list[Any]) -> None:
    lane = Lane()
    loops, session = gallery(lane), new_session(store)
    loops.show(session, 1, ["nod", "smile", "nod"])
    assert loops.view(session) == {"making": True, "loops": {"1": {}}}
    lane.take()
    assert loops.view(session) == {"making": True, "loops": {"1": {"nod": f"files/{session.id}/{FOLDER}/nod1"}}}
    lane.run()
    assert made == [("a.png", 1, "nod"), ("a.png", 1, "smile")]
    shown = loops.view(session)
    assert not shown["making"] and set(shown["loops"]["1"]) == {"nod", "smile"}
    loops.show(session, 1, ["smile", "nod"])
    assert not lane.turns, "they are there"


def test_loops_of_an_example_are_made_for_all_visitors(
    store: SessionStore, made: list[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(motion_loops, "_example_digests", lambda: {"a"})
    monkeypatch.chdir(tmp_path)
    lane = Lane()
    loops, first, second, other = gallery(lane), *(new_session(store, name) for name in "aab")
    for session in (first, second, other):
        loops.show(session, 1, ["nod"])
    lane.run()
    assert loops.view(first)["loops"] == loops.view(second)["loops"] == {"1": {"nod": f"files/examples/{FOLDER}/nod1"}}
    assert loops.view(other)["loops"] == {"1": {"nod": f"files/{other.id}/{FOLDER}/nod1"}}
    edited = replace(photo("a"), edits=FaceEdits(removed=(2,)))
    first.update(lambda state: replace(state, photo=edited))
    loops.show(first, 1, ["nod"])
    lane.run()
    assert loops.view(first)["loops"] == {"1": {"nod": f"files/{first.id}/{FOLDER}/nod1"}}


def test_motions_that_went_out_of_sight_are_not_made(store: SessionStore, made: list[Any]) -> None:
    lane = Lane()
    loops, session = gallery(lane), new_session(store)
    loops.show(session, 1, ["nod", "smile", "laugh"])
    loops.show(session, 2, ["wink"])
    lane.take()
    loops.show(session, 1, ["sad"])
    lane.run()
    assert sorted(made) == [("a.png", 1, "nod"), ("a.png", 1, "sad"), ("a.png", 2, "wink")]


def test_sessions_take_turns(store: SessionStore, made: list[Any]) -> None:
    lane = Lane()
    loops, first, second = gallery(lane), new_session(store, "a"), new_session(store, "b")
    loops.show(first, 1, ["nod", "smile", "laugh"])
    loops.show(second, 1, ["nod", "smile"])
    lane.run()
    assert [name for name, _, _ in made] == ["a.png", "b.png", "a.png", "b.png", "a.png"]


def test_another_photo_ends_the_loops_of_the_one_before(store: SessionStore, made: list[Any]) -> None:
    lane = Lane()
    loops, session = gallery(lane), new_session(store, "a")
    loops.show(session, 1, ["nod", "smile"])
    lane.take()
    show(session, "b")
    assert loops.view(session) == {"making": False, "loops": {}}
    loops.show(session, 2, ["wink"])
    lane.run()
    assert made == [("a.png", 1, "nod"), ("b.png", 2, "wink")]
    assert set(loops.view(session)["loops"]) == {"2"}


def test_loop_that_cannot_be_made_is_not_tried_again(store: SessionStore, made: list[Any]) -> None:
    lane = Lane()
    loops, session = gallery(lane), new_session(store)
    for _ in range(2):
        loops.show(session, 1, ["yawn", "nod"])
        lane.run()
    assert made == [("a.png", 1, "yawn"), ("a.png", 1, "nod")]
    assert set(loops.view(session)["loops"]["1"]) == {"nod"}


def test_unknown_face_and_motion_are_refused_and_close_ends_all(store: SessionStore, made: list[Any]) -> None:
    lane = Lane()
    loops, session = gallery(lane), new_session(store)
    with pytest.raises(RequestError, match="no face 3"):
        loops.show(session, 3, ["nod"])
    with pytest.raises(RequestError, match="did you mean nod"):
        loops.show(session, 1, ["nood"])
    loops.show(session, 1, ["nod"])
    loops.close()
    lane.run()
    loops.show(session, 1, ["smile"])
    assert made == [] and not lane.turns
