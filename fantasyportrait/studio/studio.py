"""The studio: the sessions of all visitors behind three calls, `enter`, `view` and `act`."""

import hashlib
import inspect
import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fantasyportrait.core.errors import FantasyPortraitError, RequestError
from fantasyportrait.service.animator import Animator
from fantasyportrait.studio import cast_actions
from fantasyportrait.studio.photo_actions import PhotoActions
from fantasyportrait.studio.session_store import Session, SessionStore
from fantasyportrait.studio.uploads import UploadRegistry
from fantasyportrait.studio.view import session_view
from fantasyportrait.workers.job_queue import JobQueue

EXPIRY_S = 6 * 3600.0
UNKNOWN_SESSION = "session"
UNEXPECTED = "something went wrong on the server, which is not your fault; please try again"


class Studio:
    """The sessions of one running app. Threads may share it.

    `animator` analyses photos and clips; `model` is that of the diffusion engine, None where the app offers the preview
    alone.
    """

    def __init__(
        self,
        folder: Path,
        animator: Animator,
        queue: JobQueue,
        uploads: UploadRegistry,
        model: str | None = None,
        expiry_s: float = EXPIRY_S,
    ) -> None:
        self.sessions = SessionStore(folder / "sessions", expiry_s)
        self.uploads = uploads
        self.model = model
        self.expiry_s = expiry_s
        self._photos = PhotoActions(animator.inputs, uploads.authorize)
        self._actions = self._action_table()

    def enter(self, token: object) -> str:
        """The token of an existing session, or of a new one."""
        return str(token) if self.sessions.find(token) is not None else self.sessions.create()

    def view(self, token: object, version: object = None) -> dict[str, Any]:
        """What the page shows, with its version; without the rest where the page has this version already.

        {"unknown": "session"} for a token that opens no session.
        """
        session = self.sessions.find(token)
        if session is None:
            return {"unknown": UNKNOWN_SESSION}
        session.touch()
        view = self._view(session)
        return {"version": version} if view["version"] == version else view

    def act(self, token: object, action: object, arguments: object) -> dict[str, Any]:
        """Carry out an action of the page; returns the view, with an "error" where the action was refused."""
        session = self.sessions.find(token)
        if session is None:
            return {"unknown": UNKNOWN_SESSION}
        session.touch()
        error = ""
        try:
            self._call(session, action, arguments)
        except FantasyPortraitError as refused:
            error = str(refused)
        except Exception:
            logging.getLogger(__name__).exception("the action %r has failed", action)
            error = UNEXPECTED
        return {**self._view(session), "error": error}

    def _view(self, session: Session) -> dict[str, Any]:
        view = session_view(session)
        text = json.dumps(view, sort_keys=True)
        return {**view, "version": hashlib.sha256(text.encode()).hexdigest()[:16]}

    def start(self, every_s: float) -> None:
        """Remove what has expired, now and every `every_s` seconds, in the background."""

    def close(self) -> None:
        """The app ends."""

    def _call(self, session: Session, action: object, arguments: object) -> None:
        handler = self._actions.get(action) if isinstance(action, str) else None
        if handler is None or not isinstance(arguments, Mapping):
            raise RequestError("the page and the server do not match: reload the page")
        try:
            bound = inspect.signature(handler).bind(session, **arguments)
        except TypeError as error:
            raise RequestError("the page and the server do not match: reload the page") from error
        handler(*bound.args, **bound.kwargs)

    def _action_table(self) -> dict[str, Callable[..., None]]:
        return {
            "set_photo": self._photos.set_photo,
            "set_example": self._photos.set_example,
            "clear_photo": self._photos.clear_photo,
            "set_card": cast_actions.set_card,
            "same_for_all": cast_actions.same_for_all,
            "swap": cast_actions.swap,
            "shuffle": cast_actions.shuffle,
            "all_still": cast_actions.all_still,
            "cast_people": cast_actions.cast_people,
            "set_options": cast_actions.set_options,
        }
