"""The studio: the sessions of all visitors behind three calls, `enter`, `view` and `act`."""

import hashlib
import inspect
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from fantasyportrait.core.errors import FantasyPortraitError, RequestError
from fantasyportrait.core.sentences import encode
from fantasyportrait.service.animator import Animator
from fantasyportrait.studio import cast_actions
from fantasyportrait.studio.api import StudioApi
from fantasyportrait.studio.camera_check import CameraCheck
from fantasyportrait.studio.clip_actions import ClipActions
from fantasyportrait.studio.clip_checks import ClipChecks
from fantasyportrait.studio.downloads import Downloads
from fantasyportrait.studio.estimates import Estimates
from fantasyportrait.studio.example_scenes import ExampleScenes
from fantasyportrait.studio.job_actions import GRACE_S, JobActions, SessionJobs
from fantasyportrait.studio.library_view import library_view
from fantasyportrait.studio.motion_loops import MotionLoops
from fantasyportrait.studio.photo_actions import PhotoActions
from fantasyportrait.studio.presenter import Presenter
from fantasyportrait.studio.result_actions import ResultActions
from fantasyportrait.studio.scene_loops import SceneLoops
from fantasyportrait.studio.session_store import Session, SessionStore
from fantasyportrait.studio.shared_links import SharedLinks
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

    A session begins with `options`. `animator` analyses photos and clips; `model` is that of the diffusion engine, None
    where the app offers the preview alone.
    """

    def __init__(
        self,
        folder: Path,
        animator: Animator,
        queue: JobQueue,
        uploads: UploadRegistry,
        model: str | None = None,
        expiry_s: float = EXPIRY_S,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.sessions = SessionStore(folder / "sessions", expiry_s, options)
        self.uploads = uploads
        self.model = model
        self.expiry_s = expiry_s
        self.links = SharedLinks(folder / "shared", self.sessions)
        self._downloads = Downloads(animator)
        self._store = JobStore(self.sessions.folder / "jobs.sqlite3")
        self._checks = ClipChecks(animator.inputs)
        jobs = SessionJobs(self.sessions, animator.inputs, self._checks, self._downloads)
        self._scheduler = JobScheduler(self._store, queue, jobs.handlers())
        self._loops = SceneLoops(animator)
        self._motions = MotionLoops(animator, self._loops.lane, self.sessions.folder / EXAMPLES_ID)
        self._camera = CameraCheck(animator.inputs)
        self._estimates = Estimates(animator, model)
        self._examples = ExampleScenes(self.sessions.folder / EXAMPLES_ID, animator)
        self._photos = PhotoActions(animator, uploads.authorize)
        self._clips = ClipActions(animator.inputs.decoder, self._checks, uploads.authorize, self._loops.refresh)
        self._jobs = JobActions(self.sessions, animator.inputs, self._scheduler, self._downloads, self.links, model)
        self._results = ResultActions(self._jobs, self._photos, self._clips, uploads.authorize)
        self.api = StudioApi(self.sessions, uploads, animator, self._jobs)
        self._presenter = Presenter(self.sessions, animator, self._scheduler)
        self._actions = self._action_table()
        self._closed = threading.Event()
        self._cleanup: threading.Thread | None = None

    def enter(self, token: object) -> str:
        """The token of an existing session, or of a new one."""
        return str(token) if self.sessions.find(token) is not None else self.sessions.create()

    def view(self, token: object, version: object = None, still: object = None) -> dict[str, Any]:
        """What the page shows, with its version; without the rest where the page has this version already.

        `still`: whether its visitor prefers reduced motion; None where the page has not said it.
        {"unknown": "session"} for a token that opens no session.
        """
        session = self.sessions.find(token)
        if session is None:
            return {"unknown": UNKNOWN_SESSION}
        session.touch()
        _note_motion(session, still)
        view = self._view(session)
        return {"version": version} if view["version"] == version else view

    def act(self, token: object, action: object, arguments: object, still: object = None) -> dict[str, Any]:
        """Carry out an action of the page; returns the view, with an "error" where the action was refused.

        `still` as in `view`.
        """
        session = self.sessions.find(token)
        if session is None:
            return {"unknown": UNKNOWN_SESSION}
        session.touch()
        _note_motion(session, still)
        error = ""
        try:
            self._call(session, action, arguments)
        except FantasyPortraitError as refused:
            error = refused.sentence
        except Exception:
            logging.getLogger(__name__).exception("the action %r has failed", action)
            error = UNEXPECTED
        return {**self._view(session), "error": encode(error)}

    def live(self, token: object, call: Mapping[str, Any]) -> dict[str, Any]:
        """The next frame of the session's live scene, see `Presenter.step`; an "error" where there is none."""
        session = self.sessions.find(token)
        if session is None:
            return {"unknown": UNKNOWN_SESSION}
        session.touch()
        try:
            return self._presenter.step(session, call)
        except FantasyPortraitError as refused:
            return {"error": encode(refused.sentence)}
        except Exception:
            logging.getLogger(__name__).exception("a live frame has failed")
            return {"error": UNEXPECTED}

    def look(self, token: object, picture: object) -> dict[str, Any]:
        """How well a face is seen in a small picture of the visitor's camera, see `CameraCheck.look`."""
        session = self.sessions.find(token)
        if session is None:
            return {"unknown": UNKNOWN_SESSION}
        try:
            return {"seen": self._camera.look(picture)}
        except FantasyPortraitError as refused:
            return {"error": encode(refused.sentence)}

    def start(self, every_s: float) -> None:
        """Run the jobs that wait, check the clips whose check was interrupted, and remove what has expired.

        The last is done again every `every_s` seconds, in the background.
        """
        self._scheduler.start()
        self._examples.start()
        for session in self.sessions.all():
            self._clips.resume(session)

        def work() -> None:
            while not self._closed.is_set():
                self.remove_expired()
                self._closed.wait(every_s)

        self._cleanup = threading.Thread(target=work, name="fantasyportrait-cleanup", daemon=True)
        self._cleanup.start()

    def remove_expired(self) -> None:
        """Remove the sessions and results that have expired, and stop previews whose page was closed long ago."""
        self._scheduler.abandon(lambda record: GRACE_S[json.loads(record.label)["engine"]])
        for session_id in self.sessions.remove_expired(self._has_work):
            self._checks.cancel_all(session_id)
            for record in self._scheduler.delete_owner(session_id):
                self._downloads.cancel(record.id)
        for record in self._scheduler.delete_ended(time.time() - self.expiry_s):
            session = self.sessions.by_id(record.owner)
            if session is not None:
                self._jobs.forget(session, [record])
        self.links.remove_unowned()
        self.uploads.remove_expired()

    def close(self) -> None:
        """The app ends. Jobs that run or wait go on when it starts again."""
        self._closed.set()
        if self._cleanup is not None:
            self._cleanup.join()
        self._presenter.close_all()
        self._motions.close()
        self._examples.close()
        self._loops.close()
        self._estimates.close()
        self._checks.close()
        self._scheduler.close()
        self._downloads.close()
        self._store.close()

    def _has_work(self, session_id: str) -> bool:
        return any(not job.ended for job in self._scheduler.jobs(session_id))

    def _view(self, session: Session) -> dict[str, Any]:
        self._scheduler.touch(session.id)
        self._loops.refresh(session)
        view = session_view(session, self._loops.view(session))
        view |= library_view(session, self._scheduler.jobs(session.id), self._downloads, self.links, self.expiry_s)
        view["motions"] = self._motions.view(session)
        view["estimate"] = self._estimates.view(session)
        view["examples"] = self._examples.view() if session.state.photo is None else []
        # Sentences are sent as key and values: the page says them in the visitor's language.
        view = encode(view)
        text = json.dumps(view, sort_keys=True)
        return {**view, "version": hashlib.sha256(text.encode()).hexdigest()[:16]}

    def _call(self, session: Session, action: object, arguments: object) -> None:
        handler = self._actions.get(action) if isinstance(action, str) else None
        if handler is None or not isinstance(arguments, Mapping):
            raise RequestError("the page and the server do not match: reload the page")
        kinds = get_type_hints(handler)
        try:
            bound = inspect.signature(handler).bind(session, **arguments)
            for name, value in arguments.items():
                TypeAdapter(kinds[name]).validate_python(value, strict=True)
        except (TypeError, ValidationError) as error:
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
            "show_motions": self._motions.show,
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
            "delete_all": self._jobs.delete_all,
            "make_download": self._results.make_download,
            "share": self._results.share,
            "unshare": self._results.unshare,
            "other_engine": self._results.other_engine,
            "use_settings": self._results.use_settings,
            "restore": self._results.restore,
        }


def _note_motion(session: Session, still: object) -> None:
    if isinstance(still, bool):
        session.prefers_still = still
