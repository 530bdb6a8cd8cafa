"""Actions on the photo: a new one, an example, none; faces that are added and removed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fantasyportrait.core.errors import FaceError, RequestError
from fantasyportrait.core.paths import example_photos
from fantasyportrait.schema.builtin_motions import BUILTIN_MOTIONS
from fantasyportrait.schema.checks import check_choice
from fantasyportrait.schema.face_edits import NO_EDITS, AddedFace, FaceEdits
from fantasyportrait.service.animator import Animator
from fantasyportrait.studio.cast_actions import check_face
from fantasyportrait.studio.messages import hide_paths
from fantasyportrait.studio.photo_intake import forget_photo, read_photo
from fantasyportrait.studio.session_store import Session, keep_upload, new_id
from fantasyportrait.studio.state import MOTION, Card, PhotoState, SessionState

MAX_NAME_LENGTH = 120


@dataclass(frozen=True)
class PhotoActions:
    """Actions on the photo; `authorize` returns the file of an upload of a session, or raises `RequestError`."""

    animator: Animator
    authorize: Callable[[str, object], Path]

    def set_photo(self, session: Session, path: object, name: str) -> None:
        """Find the faces of an upload. A photo that cannot be used is shown with the reason."""
        upload = self.authorize(session.id, path)
        self._show(session, upload, display_name(name, "photo"))

    def set_example(self, session: Session, name: str = "", motion: str = "") -> None:
        """Show a bundled example, by default the first; all faces play `motion`, or by default one that suits each.

        Raises `RequestError` for an unknown example or motion.
        """
        examples = example_photos()
        example = next((each for each in examples if each.name == name), None if name else examples[0])
        if example is None:
            raise RequestError("there is no example {name!r}: reload the page", name=name)
        if motion:
            check_choice("the built-in motion", motion, tuple(BUILTIN_MOTIONS))
        cards = {face: Card(MOTION, motion or suited) for face, suited in enumerate(example.motions, start=1)}
        self._show(session, example.path, example.path.name, cards)

    def reopen(self, session: Session, path: str, name: str, edits: FaceEdits) -> None:
        """Show a photo that is in the session's folder, unless it is shown already."""
        photo = session.state.photo
        if photo is None or (photo.path, photo.edits) != (path, edits):
            self._set(session, read_photo(session, self.animator, path, name, edits))

    def clear_photo(self, session: Session) -> None:
        """Remove the photo; its cards wait for the next one."""
        self._set(session, None)

    def add_face(self, session: Session, box: Sequence[float]) -> None:
        """Add a face that the detector missed, by its xyxy box in fractions of the photo.

        Raises `FaceError` where no face mesh fits the box.
        """
        photo = _shown_photo(session)
        if len(box) != 4 or not all(isinstance(value, int | float) and 0 <= value <= 1 for value in box):
            raise RequestError("the box of the face lies outside of the photo: draw it again")
        width, height = photo.size
        pixels = (box[0] * width, box[1] * height, box[2] * width, box[3] * height)
        numbers = [face.id for face in photo.faces] + list(photo.edits.removed)
        added = AddedFace(max(numbers, default=0) + 1, pixels)
        self._edit(session, photo, replace(photo.edits, added=(*photo.edits.added, added)))

    def remove_face(self, session: Session, face: int) -> None:
        """Remove a face that is none, or is not wanted; no other number changes."""
        photo = _shown_photo(session)
        check_face(session.state, face)
        added = tuple(each for each in photo.edits.added if each.face != face)
        removed = photo.edits.removed if len(added) < len(photo.edits.added) else (*photo.edits.removed, face)
        self._edit(session, photo, FaceEdits(added, removed))

    def restore_faces(self, session: Session) -> None:
        """Undo all edits of the faces."""
        self._edit(session, _shown_photo(session), NO_EDITS)

    def _edit(self, session: Session, photo: PhotoState, edits: FaceEdits) -> None:
        try:
            self._set(session, read_photo(session, self.animator, photo.path, photo.name, edits))
        except FaceError as error:
            raise FaceError(hide_paths(error, {session.path(photo.path): photo.name})) from error

    def _show(self, session: Session, upload: Path, name: str, cards: dict[int, Card] | None = None) -> None:
        kept = keep_upload(session, upload, new_id())
        self._set(session, read_photo(session, self.animator, kept, name), cards)

    def _set(self, session: Session, photo: PhotoState | None, cards: dict[int, Card] | None = None) -> None:
        before: list[PhotoState | None] = []

        def change(state: SessionState) -> SessionState:
            before.append(state.photo)
            return replace(state, photo=photo, cards={**state.cards, **(cards or {})})

        session.update(change)
        forget_photo(session, before[-1])


def _shown_photo(session: Session) -> PhotoState:
    photo = session.state.photo
    if photo is None or not photo.shown:
        raise RequestError("there is no photo yet: upload one, or try an example")
    return photo


def display_name(name: object, fallback: str) -> str:
    """The visitor's name of a file, for display only."""
    if not isinstance(name, str):
        raise RequestError("the file has no name")
    plain = "".join(letter for letter in name.replace("\\", "/").rsplit("/", 1)[-1] if letter.isprintable())
    return plain.strip()[:MAX_NAME_LENGTH] or fallback
