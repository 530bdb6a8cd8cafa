"""A worker on another machine: sends a job's input files, yields its events, fetches its output files."""

import time
import uuid
from collections.abc import Callable, Generator
from typing import Any

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import (
    Cancelled,
    DependencyError,
    FantasyPortraitError,
    OutputError,
    WeightsError,
)
from fantasyportrait.schema.events import Cancelled as CancelledEvent, Done, Event, Failed
from fantasyportrait.workers.file_transfer import chunks, fetch, input_name
from fantasyportrait.workers.job import Job
from fantasyportrait.workers.job_queue import POLL_INTERVAL_S, WorkerLost
from fantasyportrait.workers.worker_actor import UnknownJob, WorkerError

# Work stops within a step, which can take a minute, or when a model that is being loaded is there.
STOP_TIMEOUT_S = 300.0
STOP_TIMED_OUT = "it does not stop"


class RemoteWorker:
    """Runs jobs on a `WorkerActor`.

    `call(method, *arguments)` calls a method of the actor. It raises `WorkerLost` where no answer comes, but
    `WorkerBusy` where `heartbeat` gets none in time. `kill` ends a worker that was lost, so that it does not finish a
    job that runs again on another worker.

    Events are polled, as Ray has no streaming generators over ray:// addresses (Ray 2.60: RuntimeError, "not currently
    supported when using Ray Client"). Files cross in pieces, which Ray puts into its object store by itself: `put` of
    whole files is no faster, holds each in memory, and cannot be cancelled.
    """

    def __init__(
        self, name: str, call: Callable[..., Any], kill: Callable[[], None], stop_timeout_s: float = STOP_TIMEOUT_S
    ) -> None:
        self.name, self._call, self._kill, self._stop_timeout_s = name, call, kill, stop_timeout_s

    def events(self, job: Job, cancel: CancelToken) -> Generator[Event, None, None]:
        """See `Worker.events`; Failed and Cancelled are raised as errors."""
        job_id = uuid.uuid4().hex
        try:
            # A worker that is still starting is listed already: `acquire` would block there, `heartbeat` times out.
            self._call("heartbeat")
            # Before the files are checked and sent, as a busy worker is asked again every second.
            self._call("acquire", job_id)
        except WorkerLost as error:
            # It has no part of the job and may work for another client: it is not killed.
            raise WorkerLost(str(error), started=False) from error
        lost = False
        try:
            with job.receive() as folder:
                self._start(job_id, job, cancel)
                done = yield from self._poll_events(job_id, cancel)
                names = self._call("results", job_id)
                fetch(folder, names, job.outputs, lambda *where: bytes(self._call("read", job_id, *where)), cancel)
            yield done
        except WorkerLost:
            lost = True
            self._kill()
            raise
        except UnknownJob as error:
            raise FantasyPortraitError(
                "the job timed out on the worker, because its events were not polled: try again"
            ) from error
        finally:
            if not lost:
                self._release(job_id)

    def _start(self, job_id: str, job: Job, cancel: CancelToken) -> None:
        """Send the input files and start the job."""
        names = {path: input_name(path) for path in job.inputs}
        for path, name in names.items():
            for data in chunks(path):
                cancel.check()
                self._call("write_input", job_id, name, data)
        inputs = {path.as_posix(): name for path, name in names.items()}
        outputs = {name: str(path) for name, path in job.outputs.items()}
        self._call("start", job_id, job.function, job.arguments, inputs, outputs)

    def _poll_events(self, job_id: str, cancel: CancelToken) -> Generator[Event, None, Done]:
        """Yield the job's events up to Done, which is returned; raise the error of Failed, and `Cancelled`."""
        stop_at_s: float | None = None
        while True:
            if cancel.cancelled and stop_at_s is None:
                stop_at_s = time.monotonic() + self._stop_timeout_s
                self._call("cancel", job_id)
            for event in self._call("poll", job_id):
                if isinstance(event, Done):
                    return event
                if isinstance(event, CancelledEvent):
                    raise Cancelled("stopped: nothing was written")
                if isinstance(event, Failed):
                    raise self._with_worker_name(event.error)
                if isinstance(event, WorkerError):
                    raise RuntimeError(f"the worker {self.name} has failed:\n{event.text}")
                yield event
            if stop_at_s is not None and time.monotonic() > stop_at_s:
                raise WorkerLost(STOP_TIMED_OUT)

    def _with_worker_name(self, error: FantasyPortraitError) -> FantasyPortraitError:
        """The error, with the worker's name where its machine lacks something."""
        if not isinstance(error, DependencyError | OutputError | WeightsError):
            return error
        named = type(error)("{error} (on the worker {name})", error=error, name=self.name)
        named.messages = error.messages
        return named

    def _release(self, job_id: str) -> None:
        """Stop the job, wait until it has stopped, and remove its files from the worker."""
        stop_at_s = time.monotonic() + self._stop_timeout_s
        try:
            while not self._call("release", job_id):
                if time.monotonic() > stop_at_s:
                    raise WorkerLost(STOP_TIMED_OUT)
                time.sleep(POLL_INTERVAL_S)
        except WorkerLost:
            self._kill()
            raise
