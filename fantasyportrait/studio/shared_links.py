"""Links to single results, open to anyone who has one: a random name, until it is taken back or the result expires."""

import json
import re
import secrets
import shutil
from contextlib import suppress
from pathlib import Path

from fantasyportrait.core.errors import OutputError, RequestError
from fantasyportrait.studio.job_inputs import VIDEO_NAME, link_or_copy
from fantasyportrait.studio.session_store import RESULTS, Session, SessionStore, save_text

LINK, OWNER = "link.txt", "owner.json"
_ID = re.compile("[0-9a-f]{32}")


class SharedLinks:
    """The shared results in `folder`, one folder each with a link to the video, or a copy. Threads may share it."""

    def __init__(self, folder: Path, sessions: SessionStore) -> None:
        self.folder = folder.resolve()
        self._sessions = sessions

    def make(self, session: Session, job: str) -> None:
        """Share a result, unless it is shared already. Raises `RequestError` where it is gone."""
        result = session.path(f"{RESULTS}/{job}")
        if not (result / VIDEO_NAME).is_file():
            raise RequestError("this result is not here any more: make it again")
        if self.find(session, job):
            return
        name = secrets.token_hex(16)
        place = self.folder / name
        try:
            place.mkdir(mode=0o700, parents=True)
            link_or_copy(result / VIDEO_NAME, place / VIDEO_NAME)
            save_text(place / OWNER, json.dumps([session.id, job]))
            save_text(result / LINK, name)
        except OSError as error:
            shutil.rmtree(place, ignore_errors=True)
            raise OutputError(
                "the link cannot be made ({reason}): try again later", reason=error.strerror or error
            ) from error
        session.changed()

    def find(self, session: Session, job: str) -> str | None:
        """The relative URL of a shared result, None for one that is not shared."""
        try:
            name = session.path(f"{RESULTS}/{job}/{LINK}").read_text(encoding="utf-8")
        except OSError:
            return None
        there = _ID.fullmatch(name) and (self.folder / name / VIDEO_NAME).is_file()
        return f"shared/{name}/{VIDEO_NAME}" if there else None

    def take_back(self, session: Session, job: str) -> None:
        """Remove the link of a result; nothing happens where there is none."""
        found = self.find(session, job)
        if found is not None:
            shutil.rmtree(self.folder / found.split("/")[1], ignore_errors=True)
            with suppress(OSError):
                session.path(f"{RESULTS}/{job}/{LINK}").unlink()
            session.changed()

    def remove_unowned(self) -> None:
        """Remove the links of results that were deleted or have expired."""
        folders = self.folder.iterdir() if self.folder.is_dir() else ()
        for place in [place for place in folders if _ID.fullmatch(place.name)]:
            if not self._is_owned(place):
                shutil.rmtree(place, ignore_errors=True)

    def _is_owned(self, place: Path) -> bool:
        try:
            owner, job = json.loads((place / OWNER).read_text(encoding="utf-8"))
            link = self._sessions.folder / owner / RESULTS / job / LINK
            return bool(link.read_text(encoding="utf-8") == place.name)
        except (OSError, ValueError, TypeError):
            return False
