"""Actions on the photo: faces are found, added and removed; a photo that cannot be used stays with its reason."""

from pathlib import Path

import numpy as np
import pytest

from fantasyportrait.core.errors import FaceError, RequestError
from fantasyportrait.core.paths import example_photos
from fantasyportrait.images.images import save_image
from fantasyportrait.service.animator import Animator
from fantasyportrait.studio.cast_actions import set_card
from fantasyportrait.studio.photo_actions import PhotoActions, display_name
from fantasyportrait.studio.session_store import Session, SessionStore
from fantasyportrait.studio.state import Card


@pytest.fixture(scope="module")
def animator(models_dir: Path) -> Animator:
    """The animator of these tests."""
    return Animator(models_dir)


@pytest.fixture
def session(tmp_path: Path) -> Session:
    """A new session."""
    store = SessionStore(tmp_path / "sessions", 60)
    found = store.find(store.create())
    assert found is not None
    return found


@pytest.fixture
def photos(animator: Animator) -> PhotoActions:
    """Actions for which every file is an upload of the session."""
    return PhotoActions(animator, lambda _, path: Path(str(path)))


def numbers(session: Session) -> list[int]:
    """The numbers of the faces."""
    return [face.id for face in session.state.faces]


def test_photo_is_shown_with_its_faces(photos: PhotoActions, session: Session, two_person: Path) -> None:
    photos.set_photo(session, two_person, "C:\\pictures\\us two.png")
    photo = session.state.photo
    assert photo is not None and photo.name == "us two.png" and not photo.error
    assert numbers(session) == [1, 2] and session.state.card(1) == Card(), "a new face plays idle"
    shown = [photo.path, photo.shown, *(face.thumbnail for face in photo.faces)]
    assert all(session.path(name).is_file() for name in shown)
    assert all(0 <= value <= 1 for face in photo.faces for value in face.box)


def test_next_photo_keeps_cards_and_removes_pictures(photos: PhotoActions, session: Session, two_person: Path) -> None:
    photos.set_photo(session, two_person, "a.png")
    before = session.state.photo
    set_card(session, 2, {"motion": "wink", "strength": 1.5})
    photos.set_photo(session, two_person, "b.png")
    assert session.state.card(2).motion == "wink" and session.state.card(2).strength == 1.5
    assert before is not None and not session.path(before.shown).exists()
    photos.clear_photo(session)
    assert session.state.photo is None and session.state.card(2).motion == "wink"


@pytest.mark.parametrize("example", [None, "three_friends", "five_neighbours"])
def test_example_brings_its_motions(photos: PhotoActions, session: Session, example: str | None) -> None:
    photos.set_example(session, *([] if example is None else [example]))
    expected = next(each for each in example_photos() if example in (None, each.name))
    assert tuple(session.state.card(face).motion for face in numbers(session)) == expected.motions


def test_example_with_motion_plays_it_on_every_face(photos: PhotoActions, session: Session) -> None:
    photos.set_example(session, "three_friends", "yawn")
    assert [session.state.card(face).motion for face in numbers(session)] == ["yawn"] * 3


def test_unknown_example_or_motion_is_refused(photos: PhotoActions, session: Session) -> None:
    with pytest.raises(RequestError, match="there is no example '../photo'"):
        photos.set_example(session, "../photo")
    with pytest.raises(RequestError, match="the built-in motion"):
        photos.set_example(session, "two_people", "dance")
    assert session.state.photo is None


def test_photo_without_face_stays_with_reason(photos: PhotoActions, session: Session, tmp_path: Path) -> None:
    grey = tmp_path / "upload.png"
    save_image(grey, np.full((240, 320, 3), 128, np.uint8))
    photos.set_photo(session, grey, "wall.png")
    photo = session.state.photo
    assert photo is not None and photo.error.startswith("wall.png: ") and str(tmp_path) not in photo.error
    assert session.path(photo.shown).is_file(), "it is shown, so that a face can be drawn"


def test_file_that_is_no_photo_stays_with_reason(photos: PhotoActions, session: Session, tmp_path: Path) -> None:
    text = tmp_path / "upload.png"
    text.write_text("no picture")
    photos.set_photo(session, text, "notes.png")
    photo = session.state.photo
    assert photo is not None and "notes.png" in photo.error and photo.shown == "" and photo.faces == ()
    with pytest.raises(RequestError, match="no photo yet"):
        photos.add_face(session, [0.1, 0.1, 0.5, 0.5])


def test_removed_face_leaves_other_numbers(photos: PhotoActions, session: Session, two_person: Path) -> None:
    photos.set_photo(session, two_person, "a.png")
    set_card(session, 2, {"motion": "wink"})
    box = session.state.faces[0].box
    photos.remove_face(session, 1)
    assert numbers(session) == [2] and session.state.card(2).motion == "wink"
    photos.add_face(session, box)
    assert numbers(session) == [2, 3] and session.state.faces[1].added
    photos.remove_face(session, 3)
    assert numbers(session) == [2], "a face that was added and removed leaves nothing"
    photos.restore_faces(session)
    assert numbers(session) == [1, 2]


def test_box_without_face_is_refused(photos: PhotoActions, session: Session, tmp_path: Path, two_person: Path) -> None:
    grey = tmp_path / "upload.png"
    save_image(grey, np.full((240, 320, 3), 128, np.uint8))
    photos.set_photo(session, grey, "wall.png")
    before = session.state
    with pytest.raises(FaceError, match="no face mesh"):
        photos.add_face(session, [0.2, 0.2, 0.8, 0.8])
    assert session.state == before


@pytest.mark.parametrize("box", [[], [0, 0, 1], [0, 0, 2, 1], [-0.1, 0, 1, 1], ["0", 0, 1, 1], [float("nan")] * 4])
def test_box_outside_photo_is_refused(
    photos: PhotoActions, session: Session, two_person: Path, box: list[object]
) -> None:
    photos.set_photo(session, two_person, "a.png")
    with pytest.raises(RequestError, match="lies outside of the photo"):
        photos.add_face(session, box)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "shown"),
    [("a.png", "a.png"), ("../../etc/passwd", "passwd"), ("", "photo"), ("\u202e\0", "photo"), ("x" * 999, "x" * 120)],
)
def test_display_name_is_one_line(name: str, shown: str) -> None:
    assert display_name(name, "photo") == shown
