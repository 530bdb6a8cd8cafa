"""The sessions of one running app: their jobs and results, with the animator and the queue they share. No gradio
here."""

import logging
import os
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.disk_space import check_disk_space
from fantasyportrait.core.errors import FantasyPortraitError
from fantasyportrait.service.animator import Animator
from fantasyportrait.service.history import History
from fantasyportrait.workers.job_queue import JobQueue, LocalWorker
from ui.uploads import UploadRegistry

RESULT_EXPIRY_S = 6 * 3600.0
POLL_INTERVAL_S = 0.2
JOB_BYTES = 32_000_000
"""Free space that a job needs to start; the run itself checks the size of its result."""
VIDEO_NAME = "fantasyportrait.mp4"


@dataclass
class _Session:
    """One visitor: the folder of the results (None until there is one) and the work under way."""

    folder: Path | None = None
    jobs: dict[str, CancelToken] = field(default_factory=dict)
    used_s: float = field(default_factory=time.monotonic)


class SessionManager:
    """The animator and the visitors' sessions. One for each running app; threads may share it.

    The animator of this process analyses photos and clips; the workers of `queue` make the videos. Files that the page
    names go through `uploads`.
    `model` is that of the diffusion engine, None where the app offers the preview alone. A session is named by a secret
    that the browser and the server share; results are in a folder named by another random id, so that neither leads
    to the other.
    """

    def __init__(
        self,
        results: Path,
        animator: Animator | None = None,
        expiry_s: float = RESULT_EXPIRY_S,
        model: str | None = None,
        queue: JobQueue | None = None,
        uploads: UploadRegistry | None = None,
    ) -> None:
        self.results = results.resolve()
        self.uploads = uploads or UploadRegistry(self.results / "uploads")
        self.model = model
        self.animator = animator or Animator()
        self.queue = queue or JobQueue([LocalWorker(self.animator)])
        self._analysis_lock = threading.Lock()
        self._expiry_s = expiry_s
        self._lock = threading.Lock()
        self._sessions: dict[str, _Session] = {}
        self._open_results: set[Path] = set()

    def open_job(self, session: str) -> str:
        """Register a job of a session; returns its id."""
        job = uuid.uuid4().hex
        with self._lock:
            self._session(session).jobs[job] = CancelToken()
        return job

    def token(self, session: str, job: str) -> CancelToken | None:
        """The token of a job, None if this session has no such job."""
        with self._lock:
            return self._session(session).jobs.get(job)

    def close_job(self, session: str, job: str) -> None:
        """Remove a job, and cancel it if it still runs."""
        with self._lock:
            token = self._session(session).jobs.pop(job, None)
        if token is not None:
            token.cancel()

    def stop(self, session: str) -> None:
        """Cancel all jobs of this session."""
        with self._lock:
            tokens = list(self._session(session).jobs.values())
        for token in tokens:
            token.cancel()

    def leave(self, session: str) -> None:
        """The visitor has gone: stop the work. The results stay until they expire."""
        self.stop(session)
        with self._lock:
            self._sessions.pop(session, None)

    def close(self) -> None:
        """The app ends: stop the work of all sessions."""
        with self._lock:
            sessions = list(self._sessions)
        for session in sessions:
            self.stop(session)

    @property
    def served(self) -> tuple[Path, ...]:
        """The folders whose files the page may show."""
        return self.results, self.uploads.folder

    @contextmanager
    def analysis_lock(self, cancel: CancelToken) -> Iterator[None]:
        """One visitor's clips are measured at a time; raises `Cancelled` if `cancel` is set while it waits."""
        while not self._analysis_lock.acquire(timeout=POLL_INTERVAL_S):
            cancel.check()
        try:
            yield
        finally:
            self._analysis_lock.release()

    def check_disk_space(self) -> None:
        """Raise `OutputError` where results, or gradio's temporary files, have no room for another job."""
        for folder in self.served:
            with suppress(FileNotFoundError):
                check_disk_space(folder, JOB_BYTES, "a job")

    def new_result(self, session: str) -> Path:
        """The path of the session's next video; raises `OutputError` where no folder can be made."""
        with self._lock:
            own = self._session(session)
            if own.folder is None or not own.folder.is_dir():
                own.folder = History(self.results).new(VIDEO_NAME).parent
            folder = own.folder
            output = History(folder).new(VIDEO_NAME)
            self._open_results.add(output)
        return output

    def close_result(self, output: Path) -> None:
        """Let the folder of a result expire: the job has ended."""
        with self._lock:
            self._open_results.discard(output)

    def discard(self, output: Path) -> None:
        """Remove the folder of a result that was not made; a folder that cannot be removed is logged.

        It raises nothing, as it is called after another error, which must not be hidden.
        """
        try:
            History(output.parent.parent).delete(output.parent.name)
        except (FantasyPortraitError, OSError) as error:
            logging.getLogger(__name__).warning("%s is left over: %s", output.parent, error)

    def remove_expired(self) -> None:
        """Delete results that have expired, the folders of visitors without a newer result, and idle sessions."""
        with self._lock:
            waiting = tuple(self._open_results)
        for output in waiting:
            # An open job may take longer than results are kept.
            for place in (output.parent, output.parent.parent):
                with suppress(OSError):
                    os.utime(place)
        History(self.results).expire(self._expiry_s)
        for place in self.results.glob("?" * 32):
            History(place).expire(self._expiry_s)
        self.uploads.remove_expired()
        limit = time.monotonic() - self._expiry_s
        with self._lock:
            idle = [name for name, own in self._sessions.items() if not own.jobs and own.used_s < limit]
            for name in idle:
                del self._sessions[name]

    def start_cleanup(self, every_s: float) -> None:
        """Remove what has expired now and every `every_s` seconds, in the background."""

        def work() -> None:
            while True:
                self.remove_expired()
                time.sleep(every_s)

        threading.Thread(target=work, name="fantasyportrait-sweeper", daemon=True).start()

    def _session(self, name: str) -> _Session:
        own = self._sessions.setdefault(name, _Session())
        own.used_s = time.monotonic()
        return own
