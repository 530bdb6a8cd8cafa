"""The loop of a scene: what it shows, when it is made again, and which of two late ones is dropped."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fantasyportrait.service.animator import Animator
from fantasyportrait.studio.cast_actions import all_still, set_card
from fantasyportrait.studio.clip_state import ClipState
from fantasyportrait.studio.photo_actions import PhotoActions
from fantasyportrait.studio.scene_loops import SceneLoops, loop_cards, scene_key
from fantasyportrait.studio.session_store import Session, SessionStore
from fantasyportrait.studio.state import CLIP, FREE, STILL, Card, PhotoFace, PhotoState, SessionState

WAIT_S = 120
BOX = (0.1, 0.1, 0.4, 0.6)
TWO = PhotoState("1f", "files/1f.png", "a.png", faces=(PhotoFace(1, BOX, ""), PhotoFace(2, BOX, "")))


def scene(**cards: Card) -> SessionState:
    """Two faces with these cards, by their numbers."""
    return SessionState(TWO, {int(face.removeprefix("face")): card for face, card in cards.items()})


def test_face_that_cannot_move_yet_is_still() -> None:
    state = scene(face1=Card(CLIP, clip="2a"), face2=Card(FREE))
    assert {card.kind for card in loop_cards(state).values()} == {STILL}
    ready = replace(state, clips=(ClipState("2a", "a.mp4", "files/2a.mp4", state="ready"),))
    assert [card.kind for card in loop_cards(ready).values()] == [CLIP, STILL]


def test_scene_without_motion_has_no_loop() -> None:
    assert scene_key(SessionState()) == ""
    assert scene_key(scene(face1=Card(STILL), face2=Card(FREE))) == ""
    assert scene_key(replace(scene(), photo=replace(TWO, error="no face"))) == ""


def test_loop_depends_on_what_it_shows() -> None:
    state = scene(face1=Card(motion="nod"))
    assert scene_key(state) != scene_key(state.with_card(1, Card(motion="wink")))
    assert scene_key(state) != scene_key(replace(state, options={"smoothing": 1.0}))
    assert scene_key(state) == scene_key(replace(state, options={"sound": "none"}))
    assert scene_key(state) == scene_key(state.with_card(3, Card(motion="wink"))), "a face that is not in the photo"


@pytest.fixture(scope="module")
def animator(models_dir: Path) -> Animator:
    """The animator of these tests."""
    return Animator(models_dir)


@pytest.fixture
def loops(animator: Animator) -> Iterator[SceneLoops]:
    """Loops that are stopped after the test."""
    made = SceneLoops(animator)
    yield made
    made.close()


@pytest.fixture
def session(tmp_path: Path, animator: Animator, two_person: Path) -> Session:
    """A session with a photo of two people."""
    store = SessionStore(tmp_path / "sessions", 60)
    found = store.find(store.create())
    assert found is not None
    PhotoActions(animator, lambda _, path: Path(str(path))).set_photo(found, two_person, "a.png")
    return found


def wait(loops: SceneLoops, session: Session, condition: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    """The first view of the loop for which the condition is true."""
    end_s = time.monotonic() + WAIT_S
    while not condition(view := loops.view(session)):
        assert time.monotonic() < end_s, view
        time.sleep(0.02)
    return view


def test_photo_comes_alive_and_changes_with_its_cards(loops: SceneLoops, session: Session) -> None:
    loops.refresh(session)
    first = wait(loops, session, lambda view: view["state"] == "ready")
    assert session.path(first["video"]).stat().st_size > 10_000 and session.path(first["frame"]).is_file()
    loops.refresh(session)
    assert loops.view(session) == first, "the same scene is not made again"
    set_card(session, 1, {"motion": "laugh"})
    loops.refresh(session)
    second = wait(loops, session, lambda view: view["state"] == "ready")
    assert second["video"] != first["video"] and not session.path(first["video"]).exists()
    all_still(session)
    loops.refresh(session)
    assert loops.view(session)["state"] == "none" and not session.path(second["video"]).exists()


def test_only_latest_scene_is_shown(loops: SceneLoops, session: Session) -> None:
    for motion in ("nod", "shake", "wink", "laugh"):
        set_card(session, 1, {"motion": motion})
        loops.refresh(session)
    last = wait(loops, session, lambda view: view["state"] == "ready")
    shown = {path.name for path in session.path("shown").glob("*.mp4")}
    assert shown == {Path(last["video"]).name}, "no loop of an earlier scene is left"


def test_page_without_motion_gets_the_frame_alone_until_another_page_asks(loops: SceneLoops, session: Session) -> None:
    session.prefers_still = True
    loops.refresh(session)
    still = wait(loops, session, lambda view: view["state"] == "ready")
    assert still["video"] == "" and session.path(still["frame"]).is_file()
    loops.refresh(session)
    assert loops.view(session) == still
    session.prefers_still = False
    loops.refresh(session)
    moving = wait(loops, session, lambda view: view["state"] == "ready")
    assert session.path(moving["video"]).stat().st_size > 10_000
    assert [path.name for path in session.path("shown").glob("*.mp4")] == [Path(moving["video"]).name]
    session.prefers_still = True
    loops.refresh(session)
    assert loops.view(session) == moving, "what is there is kept"
