"""A worker that runs elsewhere, seen from here: files go out, events are fetched, the result comes back."""

import time
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import DependencyError, FantasyPortraitError, OutputError, WeightsError
from fantasyportrait.schema import events
from fantasyportrait.schema.events import Event, Result
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.workers.file_transfer import JobPayload, chunks, fetch, localize_paths, pack
from fantasyportrait.workers.job_queue import POLL_INTERVAL_S, WorkerLost
from fantasyportrait.workers.worker_actor import UnknownJob, WorkerError

# Work stops within a step, which can take a minute, or when a model that is being loaded is there.
STOP_TIMEOUT_S = 300.0
STOP_TIMED_OUT = "it does not stop"


class RemoteWorker:
    """Runs requests on a `WorkerActor` elsewhere.

    `ask(method, *arguments)` calls a method of the bench and raises `WorkerLost` where it does not answer, but
    `WorkerBusy` where `heartbeat` gets no answer in time. `kill` ends a worker that was given up, so that it does not
    release a job that another one has started again.
    """

    def __init__(
        self, name: str, ask: Callable[..., Any], kill: Callable[[], None], stop_timeout_s: float = STOP_TIMEOUT_S
    ) -> None:
        self.name, self._call, self._kill, self._stop_timeout_s = name, ask, kill, stop_timeout_s

    def events(self, request: AnimationRequest, output: Path, cancel: CancelToken) -> Generator[Event, None, None]:
        """What happens, in the words of this machine; see `Worker.events`."""
        job = uuid.uuid4().hex
        try:
            # A worker that is still starting is listed already: `acquire` would block there, `heartbeat` times out.
            self._call("heartbeat")
            # First, as hashing the files takes a while: a worker that is busy is asked again every second.
            self._call("acquire", job)
        except WorkerLost as error:
            # It has nothing of ours, and may well work for others: it is not ended.
            raise WorkerLost(str(error), started=False) from error
        lost = False
        try:
            payload = pack(request, output)
            for name, path in payload.files.items():
                for data in chunks(path):
                    cancel.check()
                    self._call("write_input", job, name, data)
            suffix, file_names = (
                payload.paths.video.suffix.lower(),
                {name: path.name for name, path in payload.files.items()},
            )
            remote_names = self._call("start", job, payload.request, suffix, file_names)
            yield from self._poll_events(job, payload, remote_names, cancel)
        except WorkerLost:
            lost = True
            self._kill()
            raise
        except UnknownJob as error:
            raise FantasyPortraitError(
                "the job timed out on the worker, because its events were not polled: try again"
            ) from (error)
        finally:
            if not lost:
                self._release(job)

    def _poll_events(
        self, job: str, payload: JobPayload, remote_names: Mapping[str, str], cancel: CancelToken
    ) -> Iterator[Event]:
        seen = 0
        stop_at_s: float | None = None
        while True:
            if cancel.cancelled and stop_at_s is None:
                stop_at_s = time.monotonic() + self._stop_timeout_s
                self._call("cancel", job)
            told = self._call("poll", job, seen)
            for number, event in told:
                seen = number + 1
                if isinstance(event, WorkerError):
                    raise RuntimeError(f"the worker {self.name} has failed:\n{event.text}")
                yield self._localize_event(job, event, payload, remote_names, cancel)
                if isinstance(event, events.Done | events.Failed | events.Cancelled):
                    return
            if not told:
                time.sleep(POLL_INTERVAL_S)
            if stop_at_s is not None and time.monotonic() > stop_at_s:
                raise WorkerLost(STOP_TIMED_OUT)

    def _localize_event(
        self, job: str, event: Event, payload: JobPayload, remote_names: Mapping[str, str], cancel: CancelToken
    ) -> Event:
        """The event with this machine's files, which are fetched where it is the end."""
        if isinstance(event, events.Message):
            return replace(event, text=localize_paths(event.text, remote_names, payload))
        if isinstance(event, events.Failed):
            return events.Failed(self._error(event.error, remote_names, payload))
        if isinstance(event, events.Done):
            names = self._call("results", job)
            side = fetch(payload, names, lambda name, offset: bytes(self._call("read", job, name, offset)), cancel)
            messages = tuple(localize_paths(message, remote_names, payload) for message in event.result.messages)
            return events.Done(_result(event.result, payload, side, messages))
        return event

    def _error(
        self, error: FantasyPortraitError, remote_names: Mapping[str, str], payload: JobPayload
    ) -> FantasyPortraitError:
        """What the worker's machine lacks has to be mended there."""
        text = localize_paths(str(error), remote_names, payload)
        if isinstance(error, DependencyError | OutputError | WeightsError):
            text += f" (on the worker {self.name})"
        return type(error)(text)

    def _release(self, job: str) -> None:
        """Stop the job, wait until it has, and leave nothing of it there."""
        stop_at_s = time.monotonic() + self._stop_timeout_s
        try:
            while not self._call("release", job):
                if time.monotonic() > stop_at_s:
                    raise WorkerLost(STOP_TIMED_OUT)
                time.sleep(POLL_INTERVAL_S)
        except WorkerLost:
            self._kill()
            raise


def _result(there: Result, payload: JobPayload, side: Path | None, messages: tuple[str, ...]) -> Result:
    paths = payload.paths
    return replace(there, video=paths.video, side_by_side=side, request=paths.request, messages=messages)
