"""What runs on a worker's machine: an animator that stays warm, and a folder for each job that ends with it.

Whoever asks (see `remote_worker.py`) may sit on another machine: files come and go as bytes, and names that come over
the wire are names of ours or nothing. Its methods take and return what pickles, so that Ray can carry them.
"""

import os
import re
import shutil
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import OutputError
from fantasyportrait.core.limits import PRIVATE
from fantasyportrait.runtime.runtime_config import RuntimeConfig
from fantasyportrait.sandbox.decoder import SandboxDecoder
from fantasyportrait.schema.events import Event, PreviewImage
from fantasyportrait.schema.request import AnimationRequest, from_json
from fantasyportrait.service.animator import Animator
from fantasyportrait.weights.store import models_dir
from fantasyportrait.workers.job_queue import WorkerBusy

PREFIX = "fantasyportrait-worker-"
RESULT, MODELS = "result", "models"
# Small enough to cross a weak uplink long before an answer is given up.
CHUNK_BYTES = 1 << 20
# A job that nobody asks about any more is stopped; a folder that nobody touches was that of a worker that was killed.
JOB_TIMEOUT_S = 120.0
FOLDER_TIMEOUT_S = 600.0
MONITOR_INTERVAL_S = 5.0
_JOB = re.compile("[0-9a-f]{32}")
_INPUT = re.compile(r"[0-9a-f]{32}(\.[a-z0-9]{1,8})?")
_RESULT = re.compile(rf"{RESULT}(\.[a-z0-9]{{1,8}})?(\.side-by-side\.mp4)?(/frame_[0-9]+\.png)?")


class UnknownJob(Exception):
    """There is no such job: it was never sent, or it was taken for abandoned."""


@dataclass(frozen=True)
class WorkerError:
    """An unexpected error of the worker, as text; takes the place of the last event."""

    text: str


@dataclass(eq=False)
class _Job:
    """One job. `pending_events` are (number, event) that were not fetched yet."""

    folder: Path
    token: CancelToken = field(default_factory=CancelToken)
    pending_events: list[tuple[int, Event | WorkerError]] = field(default_factory=list)
    number: int = 0
    last_heartbeat_s: float = field(default_factory=time.monotonic)
    thread: threading.Thread | None = None

    @property
    def running(self) -> bool:
        return self.thread is not None and self.thread.is_alive()


class WorkerActor:
    """Runs one job at a time, for whoever claims it. Threads may share it: one asks while another computes.

    `root` is where its folder is made, the system's place for temporary files where it is None. Tracks and motions of
    clips go to the cache, as on every machine; inputs are decoded in child processes. `job_timeout_s` and
    `folder_timeout_s`: when a job or another's folder is given up.
    """

    def __init__(
        self,
        runtime_config: RuntimeConfig,
        models: str | None = None,
        cache: str | None = None,
        root: str | None = None,
        job_timeout_s: float = JOB_TIMEOUT_S,
        folder_timeout_s: float = FOLDER_TIMEOUT_S,
    ) -> None:
        self._decoder = SandboxDecoder(PRIVATE)
        self._animator = Animator(_path(models), _path(cache), runtime_config, decoder=self._decoder)
        self._folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=root))
        self._job_timeout_s, self._folder_timeout_s = job_timeout_s, folder_timeout_s
        self._lock = threading.Lock()
        self._jobs: dict[str, _Job] = {}
        self._refused = False
        self._closed = threading.Event()
        threading.Thread(target=self._monitor, name="fantasyportrait-monitor", daemon=True).start()

    def heartbeat(self) -> int:
        """The process id: an answer means that the worker is ready."""
        return os.getpid()

    def acquire(self, job: str) -> None:
        """Acquire the worker for a job, 32 hexadecimal digits, until `release`.

        Raises `WorkerBusy` while it has another one, and once more after that: the first to ask is who just had it, and
        of several who share the worker none shall wait until another one has no more jobs.
        """
        if not _JOB.fullmatch(job):
            raise ValueError(f"{job} is not a job id")
        with self._lock:
            if self._jobs or self._refused:
                self._refused = bool(self._jobs)
                raise WorkerBusy
            self._jobs[job] = _Job(self._folder / job)

    def write_input(self, job: str, name: str, data: bytes) -> None:
        """Append to the input file `name` of the job, 32 hexadecimal digits and a suffix. Raises `OutputError`."""
        if not _INPUT.fullmatch(name):
            raise ValueError(f"{name} is no name of an input")
        found = self._job(job)
        with _disk_errors():
            (found.folder / "in").mkdir(parents=True, exist_ok=True)
            with (found.folder / "in" / name).open("ab") as file:
                file.write(data)

    def start(self, job: str, request: str, suffix: str, file_names: Mapping[str, str] | None = None) -> dict[str, str]:
        """Begin the job: a request's JSON whose files are names that were received. `suffix` is the video's.

        `file_names` are the files' own names, which the video carries.

        Returns how messages will call the inputs, the result and the models folder, by their names. Raises
        `OutputError`.
        """
        found = self._job(job)
        place = found.folder / "out"
        output = place / f"{RESULT}{suffix}"
        if output.parent != place or not _RESULT.fullmatch(output.name):
            raise ValueError(f"{suffix} is no suffix of a video")
        with _disk_errors():
            place.mkdir(exist_ok=True)
            here = {
                path.name: _named_input(path, (file_names or {}).get(path.name))
                for path in (found.folder / "in").iterdir()
            }
        asked = from_json(request).with_paths(lambda path: here.get(path.as_posix(), path))
        if not set(asked.files) <= set(here.values()):
            raise ValueError("the request names a file that was not received")
        found.thread = threading.Thread(target=self._run, args=(found, asked, output), name=f"fantasyportrait-{job}")
        found.thread.start()
        models = self._animator.inputs.models_dir or models_dir()
        return {name: str(path) for name, path in {**here, RESULT: output, MODELS: models}.items()}

    def poll(self, job: str, seen: int) -> list[tuple[int, Event | WorkerError]]:
        """The numbered events from number `seen` on; those before have arrived and are forgotten."""
        found = self._job(job)
        with self._lock:
            found.pending_events = [item for item in found.pending_events if item[0] >= seen]
            return list(found.pending_events)

    def cancel(self, job: str) -> None:
        """Ask the job to stop; its last event will say so."""
        self._job(job).token.cancel()

    def results(self, job: str) -> list[str]:
        """The names of what was made, such as result.mp4 or result/frame_000001.png; the saved request is not sent."""
        place = self._job(job).folder / "out"
        made = sorted(path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file())
        return [name for name in made if is_result(name)]

    def read(self, job: str, name: str, offset: int) -> bytes:
        """A piece of a result from `offset` on; empty at its end. Raises `OutputError`."""
        if not is_result(name):
            raise ValueError(f"{name} is no name of a result")
        path = self._job(job).folder / "out" / name
        with _disk_errors(), path.open("rb") as file:
            file.seek(offset)
            return file.read(CHUNK_BYTES)

    def release(self, job: str) -> bool:
        """Stop the job and remove all that is here of it. False while it is still stopping: ask again."""
        with self._lock:
            found = self._jobs.get(job)
        if found is None:
            return True
        found.token.cancel()
        if found.running:
            return False
        with self._lock:
            self._jobs.pop(job, None)
        shutil.rmtree(found.folder, ignore_errors=True)
        return True

    def close(self) -> None:
        """Stop everything, as far as it stops at once, and remove the folder."""
        self._closed.set()
        with self._lock:
            jobs = list(self._jobs.values())
        for job in jobs:
            job.token.cancel()
        for job in jobs:
            if job.thread is not None:
                job.thread.join(MONITOR_INTERVAL_S)
        self._decoder.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _job(self, job: str) -> _Job:
        with self._lock:
            found = self._jobs.get(job)
            if found is None:
                raise UnknownJob(f"the worker does not know the job {job}")
            found.last_heartbeat_s = time.monotonic()
            return found

    def _run(self, job: _Job, request: AnimationRequest, output: Path) -> None:
        try:
            for event in self._animator.events(request, output, job.token):
                self._emit(job, event)
        except Exception:  # a bug: raised again where somebody reads it
            self._emit(job, WorkerError(traceback.format_exc()))

    def _emit(self, job: _Job, event: Event | WorkerError) -> None:
        with self._lock:
            if isinstance(event, PreviewImage):
                # A preview image that was not fetched yet is replaced: they are large.
                job.pending_events = [item for item in job.pending_events if not isinstance(item[1], PreviewImage)]
            job.pending_events.append((job.number, event))
            job.number += 1

    def _monitor(self) -> None:
        """Stop jobs that nobody asks about, and remove folders of workers that were killed."""
        last_s = time.time()
        while not self._closed.wait(min(MONITOR_INTERVAL_S, self._job_timeout_s, self._folder_timeout_s / 4)):
            now_s = time.time()
            # After the machine has slept no worker could touch its folder yet.
            slept = now_s - last_s > self._folder_timeout_s / 2
            last_s = now_s
            with self._lock:
                jobs = dict(self._jobs)
            for name in _timed_out(jobs, self._job_timeout_s):
                self.release(name)
            with suppress(OSError):  # somebody took the folder away, or the disk fails: jobs are tended all the same
                if self._folder.is_dir():
                    os.utime(self._folder)
                if not slept:
                    _remove_stale(self._folder, now_s - self._folder_timeout_s)


def _named_input(path: Path, title: str | None) -> Path:
    """The input file under its own name, in a folder of its own; as it is where that is no plain name on any system."""
    if not title or "\0" in title or PureWindowsPath(title).name != title or title == "..":
        return path
    folder = path.parent.parent / "named" / path.name
    folder.mkdir(parents=True)
    return path.rename(folder / title)


def is_result(name: str) -> bool:
    """Whether a worker may call a result so: nothing that leaves the folder it is put in."""
    return _RESULT.fullmatch(name) is not None


def _timed_out(jobs: dict[str, _Job], job_timeout_s: float) -> list[str]:
    limit = time.monotonic() - job_timeout_s
    return [name for name, job in jobs.items() if job.last_heartbeat_s < limit]


def _remove_stale(own: Path, before_s: float) -> None:
    for folder in own.parent.glob(f"{PREFIX}*"):
        try:
            left = folder != own and folder.stat().st_mtime < before_s
        except OSError:  # gone meanwhile, or not ours to look at
            continue
        if left:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(f"a worker's disk fails ({reason}): free some space there, or check the disk") from error


def _path(text: str | None) -> Path | None:
    """The folder as its own, whole name: a short one such as "weights" stands in many a message."""
    return None if text is None else Path(text).resolve()
