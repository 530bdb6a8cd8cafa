"""Actions on clips: what a card keeps when its clip changes, names of webcam takes, removal."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fantasyportrait.core.errors import MediaError, RequestError
from fantasyportrait.media.decoder import LocalDecoder
from fantasyportrait.studio import clip_actions
from fantasyportrait.studio.cast_actions import cast_people, set_card
from fantasyportrait.studio.clip_actions import MAX_CLIPS, ClipActions
from fantasyportrait.studio.clip_state import ClipPerson, ClipState
from fantasyportrait.studio.session_store import Session, SessionStore
from fantasyportrait.studio.state import CLIP, MOTION, Card, PhotoFace, PhotoState, state_from_json
from tests.factories_media import ClipSpec, counting, make_clip


class Checks:
    """Notes the clips that are checked and cancelled."""

    def __init__(self) -> None:
        self.checked: list[str] = []
        self.cancelled: list[str] = []

    def check(self, owner: str, clip_id: str, path: Path, on_update: Any) -> None:
        assert path.is_file()
        self.checked.append(clip_id)

    def cancel(self, owner: str, clip_id: str) -> None:
        self.cancelled.append(clip_id)


@pytest.fixture
def checks() -> Any:
    return Checks()


@pytest.fixture
def actions(checks: Any) -> ClipActions:
    def authorize(session: str, path: object) -> Path:
        return Path(str(path))

    return ClipActions(LocalDecoder(), checks, authorize, lambda session: None)


@pytest.fixture
def session(tmp_path: Path) -> Session:
    store = SessionStore(tmp_path / "sessions", 60.0)
    found = store.find(store.create())
    assert found is not None
    faces = tuple(PhotoFace(number, (0.1, 0.1, 0.2, 0.2), "t.jpg") for number in (1, 2, 3))
    photo = PhotoState("p", "files/p.png", "p.png", "s.jpg", (640, 480), faces)
    found.update(lambda state: replace(state, photo=photo))
    return found


@pytest.fixture
def upload(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "upload.webm", [counting(index) for index in range(10)], ClipSpec("libvpx-vp9"))


def test_new_clip_keeps_how_the_face_follows_but_not_the_part(
    actions: ClipActions, session: Session, upload: Path
) -> None:
    first = Card(CLIP, "nod", "x", 2, 1.0, 2.0, 3.0, "hold", 1.5, ("head",), True, 0.2)
    session.update(lambda state: state.with_card(1, first))
    actions.add_clip(session, upload, "my clip.webm", face=1)
    (clip,) = session.state.clips
    assert clip.name == "my clip.webm" and not clip.webcam
    assert session.state.card(1) == Card(CLIP, "nod", clip.id, None, 0.0, None, 0.0, "hold", 1.5, ("head",), True, 0.2)


def test_clip_without_face_changes_no_card(actions: ClipActions, session: Session, upload: Path, checks: Any) -> None:
    actions.add_clip(session, upload, "a.webm")
    assert session.state.card(1) == Card() and checks.checked == [session.state.clips[0].id]


def test_takes_are_numbered_and_have_a_duration(
    actions: ClipActions, session: Session, upload: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    actions.add_clip(session, upload, "webcam take 7.webm")
    for face in (1, 2):
        actions.add_clip(session, upload, "blob", face=face, webcam=True)
    takes = session.state.clips[1:]
    assert [clip.name for clip in takes] == ["webcam take 1", "webcam take 2"]
    assert all(clip.webcam and session.path(clip.path).suffix == ".webm" for clip in takes)
    assert LocalDecoder().probe(session.path(takes[0].path)).duration_s == pytest.approx(0.4, abs=0.05)
    actions.remove_clip(session, takes[0].id)
    actions.add_clip(session, upload, "blob", webcam=True)
    assert session.state.clips[-1].name == "webcam take 3"


def test_damaged_take_is_refused_without_the_path(actions: ClipActions, session: Session, tmp_path: Path) -> None:
    broken = tmp_path / "broken.webm"
    broken.write_bytes(b"\x1aE\xdf\xa3" + bytes(200))
    with pytest.raises(MediaError) as refused:
        actions.add_clip(session, broken, "blob", face=1, webcam=True)
    assert "the recording" in str(refused.value) and str(tmp_path) not in str(refused.value)
    assert session.state.clips == () and session.state.card(1) == Card()


def test_removed_clip_leaves_faces_without_one(actions: ClipActions, session: Session, upload: Path) -> None:
    for face in (1, 2):
        actions.add_clip(session, upload, "a.webm", face=face)
    first, second = session.state.clips
    set_card(session, 1, {"start_s": 0.1, "end_s": 0.3, "strength": 0.5})
    actions.remove_clip(session, first.id)
    assert session.state.card(1) == Card(CLIP, strength=0.5) and session.state.card(2).clip == second.id
    with pytest.raises(RequestError, match="this clip is not here"):
        actions.remove_clip(session, first.id)


def test_number_of_clips_is_limited(
    actions: ClipActions, session: Session, upload: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clip_actions, "MAX_CLIPS", 2)
    for _ in range(2):
        actions.add_clip(session, upload, "a.webm")
    with pytest.raises(RequestError, match="2 clips already"):
        actions.add_clip(session, upload, "a.webm")
    assert MAX_CLIPS >= 8


def test_people_of_a_clip_drive_the_faces_in_order(session: Session) -> None:
    people = (ClipPerson(1, "a.jpg", 1.0), ClipPerson(2, "b.jpg", 0.5))
    clips = (ClipState("c", "c.mp4", "files/c.mp4", state="ready", people=people), ClipState("d", "d.mp4", "d.mp4"))
    session.update(lambda state: replace(state, clips=clips))
    set_card(session, 1, {"kind": CLIP, "clip": "c", "person": 2, "start_s": 1, "end_s": 2, "strength": 0.5})
    cast_people(session, "c")
    assert session.state.card(1) == Card(CLIP, clip="c", person=1, strength=0.5)
    assert session.state.card(2) == Card(CLIP, clip="c", person=2)
    assert session.state.card(3) == Card(MOTION)
    with pytest.raises(RequestError, match="not known yet"):
        cast_people(session, "d")


def test_another_clip_begins_with_the_whole_of_it(session: Session) -> None:
    session.update(lambda state: replace(state, clips=(ClipState("c", "c", "files/c"), ClipState("d", "d", "files/d"))))
    set_card(session, 1, {"kind": CLIP, "clip": "c", "person": 2, "start_s": 1.0, "end_s": 2.0, "fill": "hold"})
    set_card(session, 1, {"clip": "d"})
    assert session.state.card(1) == Card(CLIP, clip="d", fill="hold")
    set_card(session, 1, {"clip": "c", "start_s": 0.5})
    assert session.state.card(1) == Card(CLIP, clip="c", start_s=0.5, fill="hold")
    with pytest.raises(RequestError, match="this clip is not here"):
        set_card(session, 1, {"clip": "e"})
    with pytest.raises(RequestError, match="fill is 'bounce'"):
        set_card(session, 1, {"fill": "bounce"})


def test_cards_survive_another_photo_and_a_restart(session: Session) -> None:
    session.update(lambda state: replace(state, clips=(ClipState("c", "c", "files/c"),)))
    set_card(
        session, 1, {"kind": CLIP, "clip": "c", "start_s": 1.0, "end_s": 2.0, "smoothing": 0.25, "fill": "pingpong"}
    )
    set_card(session, 3, {"motion": "wink", "strength": 1.5, "regions": ["eyes", "head"], "mirror": True})
    before = session.state.cards
    set_card(session, 2, {"kind": "still"})
    session.update(lambda state: replace(state, photo=None))
    again = state_from_json(session.state.to_json())
    assert {face: again.card(face) for face in before} == before
