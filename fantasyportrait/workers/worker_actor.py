"""The worker on its machine: runs one job at a time in a folder that is removed with the job.

`RemoteWorker` calls its methods, which take and return what pickles, so that Ray can carry them. Names that come over
the wire are checked: none of them leads out of the job's folder.
"""

import os
import re
import shutil
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from pkgutil import resolve_name

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import Cancelled, FantasyPortraitError, OutputError
from fantasyportrait.runtime.runtime_config import RuntimeConfig
from fantasyportrait.schema import events
from fantasyportrait.schema.events import Event
from fantasyportrait.workers.file_transfer import CHUNK_BYTES, is_output
from fantasyportrait.workers.job import JobCall, SetupFunction, WorkerSetup, call_function
from fantasyportrait.workers.job_queue import POLL_INTERVAL_S, WorkerBusy
from fantasyportrait.workers.path_names import PathNames

PREFIX = "fantasyportrait-worker-"
# A job that its client does not poll is stopped; a folder that its worker does not touch is of a dead worker.
JOB_TIMEOUT_S = 120.0
FOLDER_TIMEOUT_S = 600.0
MONITOR_INTERVAL_S = 5.0
_JOB_ID = re.compile("[0-9a-f]{32}")
_INPUT = re.compile(r"[0-9a-f]{32}(\.[a-z0-9]{1,8})?")


class UnknownJob(Exception):
    """The worker has no such job: it was never acquired for it, or the job timed out."""


@dataclass(frozen=True)
class WorkerError:
    """An unexpected error of the worker, as text; it ends the events of a job."""

    text: str


@dataclass(eq=False)
class _RunningJob:
    """One job. `outputs` are the names of its output files, `pending_events` were not polled yet."""

    folder: Path
    token: CancelToken = field(default_factory=CancelToken)
    outputs: tuple[str, ...] = ()
    pending_events: list[Event | WorkerError] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)
    last_heartbeat_s: float = field(default_factory=time.monotonic)
    thread: threading.Thread | None = None

    @property
    def running(self) -> bool:
        return self.thread is not None and self.thread.is_alive()

    def emit(self, event: Event | WorkerError) -> None:
        """Keep an event until it is polled. A new preview image replaces an older one, as they are large."""
        with self.changed:
            if isinstance(event, events.PreviewImage):
                self.pending_events = [old for old in self.pending_events if not isinstance(old, events.PreviewImage)]
            self.pending_events.append(event)
            self.changed.notify_all()


class WorkerActor:
    """Runs one job at a time for the client that acquired it. Threads may share it: one polls while another computes.

    `setup` is "package.module:name" of a `SetupFunction`, which gets the runtime config and the folders `models` and
    `cache`. The worker makes its own folder in `root`, by default in the system's folder for temporary files. A job
    that is not polled for `job_timeout_s`, and another worker's folder that is not touched for `folder_timeout_s`, are
    removed.
    """

    def __init__(
        self,
        setup: str,
        runtime_config: RuntimeConfig,
        models: str | None = None,
        cache: str | None = None,
        root: str | None = None,
        job_timeout_s: float = JOB_TIMEOUT_S,
        folder_timeout_s: float = FOLDER_TIMEOUT_S,
    ) -> None:
        self._exit = ExitStack()
        set_up: SetupFunction = resolve_name(setup)
        self._setup: WorkerSetup = self._exit.enter_context(set_up(runtime_config, models, cache))
        self._folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=root))
        self._job_timeout_s, self._folder_timeout_s = job_timeout_s, folder_timeout_s
        self._lock = threading.Lock()
        self._jobs: dict[str, _RunningJob] = {}
        self._refused = False
        self._closed = threading.Event()
        threading.Thread(target=self._monitor, name="fantasyportrait-monitor", daemon=True).start()

    def heartbeat(self) -> int:
        """The process id; an answer means that the worker is ready."""
        return os.getpid()

    def acquire(self, job_id: str) -> None:
        """Acquire the worker for a job, 32 hexadecimal digits, until `release`.

        Raises `WorkerBusy` while it has another job, and once more after that: the first call then is most likely of
        the client that has just released it, and the other clients get their turn.
        """
        if not _JOB_ID.fullmatch(job_id):
            raise ValueError(f"{job_id} is not a job id")
        with self._lock:
            if self._jobs or self._refused:
                self._refused = bool(self._jobs)
                raise WorkerBusy
            self._jobs[job_id] = _RunningJob(self._folder / job_id)

    def write_input(self, job_id: str, name: str, data: bytes) -> None:
        """Append to an input file named by 32 hexadecimal digits and a suffix. Raises `OutputError`."""
        if not _INPUT.fullmatch(name):
            raise ValueError(f"{name} is not a name of an input file")
        job = self._job(job_id)
        with _disk_errors():
            (job.folder / "in").mkdir(parents=True, exist_ok=True)
            with (job.folder / "in" / name).open("ab") as file:
                file.write(data)

    def start(
        self, job_id: str, function: str, arguments: str, inputs: Mapping[str, str], outputs: Mapping[str, str]
    ) -> None:
        """Start the job.

        Args:
            job_id: of a job that has acquired the worker.
            function, arguments: see `Job`.
            inputs: the name of each input file as it was written, by its path on the client's machine.
            outputs: the path of each output on the client's machine, by its name here. Events use those paths.

        Raises `OutputError`.
        """
        job = self._job(job_id)
        job.outputs = tuple(outputs)
        if not outputs or not all(is_output(name, outputs) for name in outputs):
            raise ValueError(f"{list(outputs)} are not names of output files")
        if not all(map(_INPUT.fullmatch, inputs.values())):
            raise ValueError(f"{list(inputs.values())} are not names of input files")
        place = job.folder / "out"
        with _disk_errors():
            place.mkdir(parents=True)
            here = {path: _named_input(job.folder / "in" / name, path) for path, name in inputs.items()}
        names = {
            **self._setup.path_names,
            **{str(path): there for there, path in here.items()},
            **{name: PurePosixPath(there).name for there, name in inputs.items()},
            **{str(place / name): there for name, there in outputs.items()},
        }
        call = JobCall(arguments, here, place / job.outputs[0], job.token)
        job.thread = threading.Thread(
            target=self._run, args=(job, function, call, PathNames(names)), name=f"fantasyportrait-{job_id}"
        )
        job.thread.start()

    def poll(self, job_id: str) -> list[Event | WorkerError]:
        """The events since the last call; waits a moment for the first one."""
        job = self._job(job_id)
        with job.changed:
            job.changed.wait_for(lambda: job.pending_events, POLL_INTERVAL_S)
            pending, job.pending_events = job.pending_events, []
        return pending

    def cancel(self, job_id: str) -> None:
        """Ask the job to stop; its last event then is Cancelled, unless it was done before."""
        self._job(job_id).token.cancel()

    def results(self, job_id: str) -> list[str]:
        """The names of the output files that were made, such as result.mp4 or result/frame_000001.png."""
        job = self._job(job_id)
        place = job.folder / "out"
        made = sorted(path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file())
        return [name for name in made if is_output(name, job.outputs)]

    def read(self, job_id: str, name: str, offset: int) -> bytes:
        """A piece of an output file from `offset` on; empty at its end. Raises `OutputError`."""
        job = self._job(job_id)
        if not is_output(name, job.outputs):
            raise ValueError(f"{name} is not a name of an output file")
        with _disk_errors(), (job.folder / "out" / name).open("rb") as file:
            file.seek(offset)
            return file.read(CHUNK_BYTES)

    def release(self, job_id: str) -> bool:
        """Stop the job and remove its files. False while it is still stopping: call again."""
        with self._lock:
            job = self._jobs.get(job_id)
        if job is None:
            return True
        job.token.cancel()
        if job.running:
            return False
        with self._lock:
            self._jobs.pop(job_id, None)
        shutil.rmtree(job.folder, ignore_errors=True)
        return True

    def close(self) -> None:
        """Cancel the job, wait a moment for its end, and remove the folder."""
        self._closed.set()
        with self._lock:
            jobs = list(self._jobs.values())
        for job in jobs:
            job.token.cancel()
        for job in jobs:
            if job.thread is not None:
                job.thread.join(MONITOR_INTERVAL_S)
        self._exit.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _job(self, job_id: str) -> _RunningJob:
        with self._lock:
            job = self._jobs.get(job_id)
            if job is None:
                raise UnknownJob(f"the worker does not know the job {job_id}")
            job.last_heartbeat_s = time.monotonic()
            return job

    def _run(self, job: _RunningJob, function: str, call: JobCall, names: PathNames) -> None:
        try:
            with closing(call_function(function, self._setup.state, call)) as event_stream:
                for event in event_stream:
                    job.emit(names.event(event))
                    if isinstance(event, events.Done | events.Failed | events.Cancelled):
                        return
            job.emit(WorkerError(f"the job function {function} ended without Done, Failed or Cancelled"))
        except Cancelled:
            job.emit(events.Cancelled())
        except FantasyPortraitError as error:
            job.emit(names.event(events.Failed(error)))
        except Exception:  # a bug: the client raises it
            job.emit(WorkerError(traceback.format_exc()))

    def _monitor(self) -> None:
        """Stop jobs that are not polled, and remove the folders of workers that were killed."""
        last_s = time.time()
        while not self._closed.wait(min(MONITOR_INTERVAL_S, self._job_timeout_s, self._folder_timeout_s / 4)):
            now_s = time.time()
            # After the machine has slept no worker has touched its folder yet.
            slept = now_s - last_s > self._folder_timeout_s / 2
            last_s = now_s
            with self._lock:
                jobs = dict(self._jobs)
            for name in _timed_out(jobs, self._job_timeout_s):
                self.release(name)
            with suppress(OSError):  # the folder was removed, or the disk fails: jobs still time out
                if self._folder.is_dir():
                    os.utime(self._folder)
                if not slept:
                    _remove_stale(self._folder, now_s - self._folder_timeout_s)


def _named_input(path: Path, original: str) -> Path:
    """The input file under its original name, in a folder of its own; unchanged where that name is not plain."""
    title = PurePosixPath(original).name
    if not title or "\0" in title or PureWindowsPath(title).name != title or title == "..":
        return path
    folder = path.parent.parent / "named" / path.name
    folder.mkdir(parents=True)
    return path.rename(folder / title)


def _timed_out(jobs: dict[str, _RunningJob], job_timeout_s: float) -> list[str]:
    limit = time.monotonic() - job_timeout_s
    return [name for name, job in jobs.items() if job.last_heartbeat_s < limit]


def _remove_stale(own: Path, before_s: float) -> None:
    for folder in own.parent.glob(f"{PREFIX}*"):
        try:
            stale = folder != own and folder.stat().st_mtime < before_s
        except OSError:  # removed meanwhile, or another user's
            continue
        if stale:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(
            "a worker's disk fails ({reason}): free some space there, or check the disk", reason=reason
        ) from error
