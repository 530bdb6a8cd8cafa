"""The studio: the sessions of all visitors behind three calls, `enter`, `view` and `act`."""

import hashlib
import inspect
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fantasyportrait.core.errors import FantasyPortraitError, RequestError
from fantasyportrait.service.animator import Animator
from fantasyportrait.studio import cast_actions
from fantasyportrait.studio.clip_actions import ClipActions
from fantasyportrait.studio.clip_checks import ClipChecks
from fantasyportrait.studio.estimates import Estimates
from fantasyportrait.studio.example_scenes import ExampleScenes
from fantasyportrait.studio.job_actions import GRACE_S, JobActions, SessionJobs
from fantasyportrait.studio.photo_actions import PhotoActions
from fantasyportrait.studio.presenter import Presenter
from fantasyportrait.studio.scene_loops import SceneLoops
from fantasyportrait.studio.session_store import Session, SessionStore
from fantasyportrait.studio.uploads import UploadRegistry
from fantasyportrait.studio.view import session_view
from fantasyportrait.workers.job_queue import JobQueue
from fantasyportrait.workers.job_scheduler import JobScheduler
from fantasyportrait.workers.job_store import JobStore

EXPIRY_S = 6 * 3600.0
UNKNOWN_SESSION = "session"
EXAMPLES_ID = "0" * 32
"""The name of the folder of the examples, which is that of no session."""
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
        self._store = JobStore(self.sessions.folder / "jobs.sqlite3")
        self._checks = ClipChecks(animator.inputs)
        jobs = SessionJobs(self.sessions, animator.inputs, self._checks)
        self._scheduler = JobScheduler(self._store, queue, jobs.handlers())
        self._loops = SceneLoops(animator)
        self._estimates = Estimates(animator, model)
        self._examples = ExampleScenes(self.sessions.folder / EXAMPLES_ID, animator)
        self._photos = PhotoActions(animator, uploads.authorize)
        self._clips = ClipActions(self._checks, uploads.authorize, self._loops.refresh)
        self._jobs = JobActions(self.sessions, animator.inputs, self._scheduler, model)
        self._presenter = Presenter(self.sessions, animator, self._scheduler)
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

    def live(self, token: object, call: Mapping[str, Any]) -> dict[str, Any]:
        """The next frame of the session's live scene, see `Presenter.step`; an "error" where there is none."""
        session = self.sessions.find(token)
        if session is None:
            return {"unknown": UNKNOWN_SESSION}
        session.touch()
        try:
            return self._presenter.step(session, call)
        except FantasyPortraitError as refused:
            return {"error": str(refused)}
        except Exception:
            logging.getLogger(__name__).exception("a live frame has failed")
            return {"error": UNEXPECTED}

    def start(self, every_s: float) -> None:
        """Run the jobs that wait, check the clips whose check was interrupted, and remove what has expired.

        The last is done again every `every_s` seconds, in the background.
        """
        self._scheduler.start()
        self._examples.start()
        for session in self.sessions.all():
            self._clips.resume(session)

        def work() -> None:
            while True:
                self.remove_expired()
                time.sleep(every_s)

        threading.Thread(target=work, name="fantasyportrait-cleanup", daemon=True).start()

    def remove_expired(self) -> None:
        """Remove the sessions that have expired, and stop previews whose page was closed long ago."""
        self._scheduler.abandon(lambda record: GRACE_S[json.loads(record.label)["engine"]])
        for session_id in self.sessions.remove_expired(self._has_work):
            self._checks.cancel_all(session_id)
            self._scheduler.delete_owner(session_id)
        self.uploads.remove_expired()

    def close(self) -> None:
        """The app ends. Jobs that run or wait go on when it starts again."""
        self._presenter.close_all()
        self._examples.close()
        self._loops.close()
        self._estimates.close()
        self._checks.close()
        self._scheduler.close()
        self._store.close()

    def _has_work(self, session_id: str) -> bool:
        return any(not job.ended for job in self._scheduler.jobs(session_id))

    def _view(self, session: Session) -> dict[str, Any]:
        self._scheduler.touch(session.id)
        self._loops.refresh(session)
        view = session_view(session, self._scheduler.jobs(session.id), self._loops.view(session))
        view["estimate"] = self._estimates.view(session)
        view["examples"] = self._examples.view() if session.state.photo is None else []
        text = json.dumps(view, sort_keys=True)
        return {**view, "version": hashlib.sha256(text.encode()).hexdigest()[:16]}

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
            "add_face": self._photos.add_face,
            "remove_face": self._photos.remove_face,
            "restore_faces": self._photos.restore_faces,
            "set_card": cast_actions.set_card,
            "same_for_all": cast_actions.same_for_all,
            "swap": cast_actions.swap,
            "shuffle": cast_actions.shuffle,
            "all_still": cast_actions.all_still,
            "cast_people": cast_actions.cast_people,
            "set_options": cast_actions.set_options,
            "add_clip": self._clips.add_clip,
            "remove_clip": self._clips.remove_clip,
            "animate": self._jobs.animate,
            "cancel": self._jobs.cancel,
            "retry": self._jobs.retry,
            "duplicate": self._jobs.duplicate,
            "move": self._jobs.move,
            "delete": self._jobs.delete,
            "present": self._presenter.open,
            "end_presenting": self._presenter.close,
            "recalibrate": self._presenter.recalibrate,
            "start_recording": self._presenter.start_recording,
            "stop_recording": self._presenter.stop_recording,
        }
