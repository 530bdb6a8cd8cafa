"""Actions on the photo: a new one, an example, none."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from fantasyportrait.core.errors import RequestError
from fantasyportrait.core.paths import example_photo
from fantasyportrait.service.input_reader import InputReader
from fantasyportrait.studio.photo_intake import forget_photo, read_photo
from fantasyportrait.studio.session_store import Session, keep_upload, new_id
from fantasyportrait.studio.state import MOTION, Card, PhotoState, SessionState

MAX_NAME_LENGTH = 120
EXAMPLE_MOTIONS = ("talk", "laugh")


@dataclass(frozen=True)
class PhotoActions:
    """Actions on the photo; `authorize` returns the file of an upload of a session, or raises `RequestError`."""

    inputs: InputReader
    authorize: Callable[[str, object], Path]

    def set_photo(self, session: Session, path: object, name: str) -> None:
        """Find the faces of an upload. A photo that cannot be used is shown with the reason."""
        upload = self.authorize(session.id, path)
        self._show(session, upload, display_name(name, "photo"))

    def set_example(self, session: Session) -> None:
        """Show the bundled photo, with motions that suit it."""
        cards = {face: Card(MOTION, motion) for face, motion in enumerate(EXAMPLE_MOTIONS, start=1)}
        self._show(session, example_photo(), "two_people.png", cards)

    def clear_photo(self, session: Session) -> None:
        """Remove the photo; its cards wait for the next one."""
        forget_photo(session, session.state.photo)
        session.update(lambda state: replace(state, photo=None))

    def _show(self, session: Session, upload: Path, name: str, cards: dict[int, Card] | None = None) -> None:
        kept = keep_upload(session, upload, new_id())
        photo = read_photo(session, self.inputs, kept, name)
        before: list[PhotoState | None] = []

        def change(state: SessionState) -> SessionState:
            before.append(state.photo)
            return replace(state, photo=photo, cards={**state.cards, **(cards or {})})

        session.update(change)
        forget_photo(session, before[-1])


def display_name(name: object, fallback: str) -> str:
    """The visitor's name of a file, for display only."""
    if not isinstance(name, str):
        raise RequestError("the file has no name")
    plain = "".join(letter for letter in name.replace("\\", "/").rsplit("/", 1)[-1] if letter.isprintable())
    return plain.strip()[:MAX_NAME_LENGTH] or fallback
