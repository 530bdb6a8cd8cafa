"""What is made of a finished result in the background: other formats, and the side by side."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import Cancelled, FantasyPortraitError, RequestError
from fantasyportrait.media.conversion import convert_video
from fantasyportrait.media.request_files import load_request
from fantasyportrait.media.result_files import output_paths
from fantasyportrait.schema.events import Event, Step
from fantasyportrait.service.animator import Animator
from fantasyportrait.studio.job_inputs import VIDEO_NAME, plain_text
from fantasyportrait.studio.session_store import RESULTS, Session

SIDE_BY_SIDE = "side_by_side"
FILES = {
    "webm": "fantasyportrait.webm",
    "gif": "fantasyportrait.gif",
    "png": "fantasyportrait.zip",
    SIDE_BY_SIDE: output_paths(Path(VIDEO_NAME)).side_by_side.name,
}
"""The file of each kind, beside the video; one that exists is whole."""
UNEXPECTED = "this could not be made, which is not your fault; please try again"


@dataclass
class _Work:
    """A file that is being made: `state` is waiting, running or failed."""

    state: str = "waiting"
    done: int = 0
    total: int = 0
    error: str = ""
    token: CancelToken = field(default_factory=CancelToken)


class Downloads:
    """Makes files of finished results, one at a time for all sessions. Threads may share it."""

    def __init__(self, animator: Animator) -> None:
        self._animator = animator
        self._pool = ThreadPoolExecutor(1, "fantasyportrait-downloads")
        self._lock = threading.Lock()
        self._works: dict[tuple[str, str], _Work] = {}

    def make(self, session: Session, job: str, kind: str) -> None:
        """Begin to make a file of a result, unless it is there or under way; raises `RequestError` for another kind."""
        if kind not in FILES:
            raise RequestError("the format is {kind!r}: choose one of {names}", kind=kind, names=", ".join(FILES))
        with self._lock:
            known = self._works.get((job, kind))
            if self._file(session, job, kind).exists() or (known is not None and known.state != "failed"):
                return
            work = self._works[job, kind] = _Work()
        self._pool.submit(self._run, session, job, kind, work)
        session.changed()

    def view(self, session: Session, job: str) -> dict[str, dict[str, Any]]:
        """The state of each kind: none, waiting, running, ready or failed; `file` is a path in the session's folder."""
        with self._lock:
            return {kind: self._state(session, job, kind) for kind in FILES}

    def cancel(self, job: str) -> None:
        """Stop what is made of a result."""
        with self._lock:
            for key in [key for key in self._works if key[0] == job]:
                self._works.pop(key).token.cancel()

    def close(self) -> None:
        """Stop everything that is being made, and wait for it."""
        with self._lock:
            for work in self._works.values():
                work.token.cancel()
        self._pool.shutdown(cancel_futures=True)

    def _file(self, session: Session, job: str, kind: str) -> Path:
        return session.path(f"{RESULTS}/{job}/{FILES[kind]}")

    def _state(self, session: Session, job: str, kind: str) -> dict[str, Any]:
        work = self._works.get((job, kind))
        if work is not None:
            return {"state": work.state, "done": work.done, "total": work.total, "error": work.error, "file": None}
        ready = self._file(session, job, kind).exists()
        file = f"{RESULTS}/{job}/{FILES[kind]}" if ready else None
        return {"state": "ready" if ready else "none", "done": 0, "total": 0, "error": "", "file": file}

    def _run(self, session: Session, job: str, kind: str, work: _Work) -> None:
        try:
            work.token.check()
            self._set(session, work, state="running")
            self._write(session, job, kind, work)
            with self._lock:
                if self._works.get((job, kind)) is work:
                    del self._works[job, kind]
            session.changed()
        except Cancelled:
            pass
        except FantasyPortraitError as error:
            folder = self._file(session, job, kind).parent
            self._set(session, work, state="failed", error=plain_text(error.sentence, folder))
        except Exception:
            logging.getLogger(__name__).exception("the %s of the job %s cannot be made", kind, job)
            self._set(session, work, state="failed", error=UNEXPECTED)

    def _write(self, session: Session, job: str, kind: str, work: _Work) -> None:
        video = session.path(f"{RESULTS}/{job}/{VIDEO_NAME}")

        def count(done: int, total: int) -> None:
            self._set(session, work, done=done, total=total)

        if kind == SIDE_BY_SIDE:
            request = load_request(output_paths(video).request)
            self._animator.side_by_side(request, video, cancel=work.token, on_event=_counted(count))
        else:
            decoder = self._animator.inputs.decoder
            convert_video(decoder, video, self._file(session, job, kind), cancel=work.token, on_frame=count)

    def _set(self, session: Session, work: _Work, **values: Any) -> None:
        with self._lock:
            for name, value in values.items():
                setattr(work, name, value)
        session.changed()


def _counted(count: Callable[[int, int], None]) -> Callable[[Event], None]:
    """A handler of events that counts the frames of the side by side."""

    def record(event: Event) -> None:
        if isinstance(event, Step) and event.stage == "finish":
            count(event.done, event.total)

    return record
