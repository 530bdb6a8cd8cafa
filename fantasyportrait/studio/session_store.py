"""The sessions of visitors: a secret token leads to a folder with the state, the uploads and the results."""

import hashlib
import logging
import os
import re
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from fantasyportrait.core.atomic_write import atomic_write
from fantasyportrait.core.errors import OutputError, RequestError
from fantasyportrait.core.files import open_regular
from fantasyportrait.studio.state import SessionState, state_from_json

TOKEN_BYTES = 24
FILES, SHOWN, RESULTS, STATE = "files", "shown", "results", "state.json"
_TOKEN = re.compile("[A-Za-z0-9_-]{32}")
_ID = re.compile("[0-9a-f]{32}")
# How often the time of the last visit is written.
TOUCH_INTERVAL_S = 60.0


class Session:
    """One visitor's session. Threads may share it.

    `id` names the folder; it does not lead to the token. `version` grows with every change of what the page shows.
    `prefers_still`: the page that asked last shows no loops, as its visitor prefers reduced motion.
    """

    def __init__(self, folder: Path, state: SessionState) -> None:
        self.folder = folder
        self.id = folder.name
        self.version = 1
        self.prefers_still = False
        self.lock = threading.RLock()
        self._state = state
        self._touched_s = 0.0

    @property
    def state(self) -> SessionState:
        """The present state."""
        return self._state

    def update(self, change: Callable[[SessionState], SessionState]) -> SessionState:
        """Replace the state by `change(state)` and save it; what `change` raises leaves it as it was."""
        with self.lock:
            state = change(self._state)
            if state != self._state:
                save_text(self.folder / STATE, state.to_json())
                self._state = state
                self.version += 1
            return state

    def changed(self) -> None:
        """What the page shows has changed, but not the state."""
        with self.lock:
            self.version += 1

    def path(self, name: str) -> Path:
        """A path in the session's folder."""
        return self.folder / name

    def touch(self) -> None:
        """The visitor is here: the session expires later."""
        now_s = time.monotonic()
        if now_s - self._touched_s > TOUCH_INTERVAL_S:
            self._touched_s = now_s
            with suppress(OSError):
                os.utime(self.folder)


class SessionStore:
    """The sessions in one folder. Threads may share it.

    Only a token that `create` returned opens a session; every other one, whether damaged, expired or guessed, gets
    None. A session begins with `options`, and expires `expiry_s` seconds after the last visit, with its uploads and
    results.
    """

    def __init__(self, folder: Path, expiry_s: float, options: Mapping[str, Any] | None = None) -> None:
        self.folder = folder.resolve()
        self.expiry_s = expiry_s
        self._options = options or {}
        self._lock = threading.Lock()
        self._open: dict[str, Session] = {}

    def create(self) -> str:
        """Begin a session; returns its token. Raises `OutputError` where its folder cannot be made."""
        token = secrets.token_urlsafe(TOKEN_BYTES)
        folder = self.folder / _session_id(token)
        try:
            # One by one: a folder that is made as a parent does not get the mode.
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for made in (folder, *(folder / name for name in (FILES, SHOWN, RESULTS))):
                made.mkdir(mode=0o700)
            state = SessionState(options=self._options, created_s=time.time())
            save_text(folder / STATE, state.to_json())
        except OSError as error:
            raise OutputError(
                "the sessions cannot be kept in {folder} ({reason})", folder=self.folder, reason=error.strerror or error
            ) from error
        with self._lock:
            self._open[folder.name] = Session(folder, state)
        return token

    def find(self, token: object) -> Session | None:
        """The session of a token, None for any other text."""
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            return None
        return self.by_id(_session_id(token))

    def by_id(self, session_id: str) -> Session | None:
        """The session with this folder, None where there is none."""
        if not _ID.fullmatch(session_id):
            return None
        folder = self.folder / session_id
        with self._lock:
            session = self._open.get(session_id)
            if session is not None:
                return session
            try:
                text = (folder / STATE).read_text(encoding="utf-8")
            except OSError:
                return None
            try:
                state = state_from_json(text)
            except RequestError as error:
                logging.getLogger(__name__).warning("%s: %s; it begins empty", folder, error)
                state = SessionState(created_s=time.time())
            session = self._open[session_id] = Session(folder, state)
            return session

    def all(self) -> Iterator[Session]:
        """Every session."""
        for folder in self._folders():
            session = self.by_id(folder.name)
            if session is not None:
                yield session

    def remove_expired(self, keep: Callable[[str], bool] = lambda session_id: False) -> list[str]:
        """Remove the sessions that have expired, but those for which `keep` is true; returns their ids."""
        removed = []
        limit_s = time.time() - self.expiry_s
        for folder in self._folders():
            with suppress(OSError):
                if folder.stat().st_mtime < limit_s and not keep(folder.name):
                    self.remove(folder.name)
                    removed.append(folder.name)
        return removed

    def remove(self, session_id: str) -> None:
        """Remove a session with all its files."""
        with self._lock:
            self._open.pop(session_id, None)
        shutil.rmtree(self.folder / session_id, ignore_errors=True)

    def _folders(self) -> list[Path]:
        if not self.folder.is_dir():
            return []
        return [folder for folder in self.folder.iterdir() if _ID.fullmatch(folder.name) and (folder / STATE).exists()]


def keep_upload(session: Session, upload: Path, file_id: str) -> str:
    """Keep an upload in the session's folder under a name of our own; returns its path there.

    A hard link where the file system has them, else a copy. Raises `OutputError`.
    """
    suffix = upload.suffix.lower() if re.fullmatch(r"\.[A-Za-z0-9]{1,5}", upload.suffix) else ""
    name = f"{FILES}/{file_id}{suffix}"
    target = session.path(name)
    try:
        try:
            os.link(upload, target)
        except OSError:
            with atomic_write(target) as made, open_regular(upload, follow=False) as source, made.open("wb") as copy:
                shutil.copyfileobj(source, copy)
    except OSError as error:
        raise OutputError(
            "the upload cannot be kept ({error}): try again later", error=error.strerror or error
        ) from error
    return name


def forget_files(session: Session, *names: str) -> None:
    """Remove files of the session's folder; a name that is gone is skipped."""
    for name in filter(None, names):
        with suppress(OSError):
            session.path(name).unlink()


def new_id() -> str:
    """A random id of a photo, clip or file."""
    return secrets.token_hex(8)


def save_text(path: Path, text: str) -> None:
    """Write a small file in one step."""
    with atomic_write(path) as made:
        made.write_text(text, encoding="utf-8")


def with_options(state: SessionState, changes: dict[str, object]) -> SessionState:
    """The state with other values of options."""
    return replace(state, options={**state.options, **changes})


def _session_id(token: str) -> str:
    return hashlib.sha256(f"fantasyportrait session {token}".encode()).hexdigest()[:32]
