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
from fantasyportrait.workers.job_queue import POLL_S, WorkerLost
from fantasyportrait.workers.remote_files import Parcel, chunks, fetch, pack, translated
from fantasyportrait.workers.worker_bench import Bug, UnknownJob

# Work stops within a step, which can take a minute, or when a model that is being loaded is there.
STOP_S = 300.0
STUCK = "it does not stop"


class RemoteWorker:
    """Runs requests on a `WorkerBench` elsewhere.

    `ask(method, *arguments)` calls a method of the bench and raises `WorkerLost` where it does not answer, but
    `WorkerBusy` where `hello` gets no answer in time. `abandon` ends a worker that was given up, so that it does not
    finish a job that another one has begun again.
    """

    def __init__(self, name: str, ask: Callable[..., Any], abandon: Callable[[], None], stop_s: float = STOP_S) -> None:
        self.name, self._ask, self._abandon, self._stop_s = name, ask, abandon, stop_s

    def events(self, request: AnimationRequest, output: Path, cancel: CancelToken) -> Generator[Event, None, None]:
        """What happens, in the words of this machine; see `Worker.events`."""
        job = uuid.uuid4().hex
        try:
            # A worker that is still being made is listed already: a claim would wait there until nobody wants it.
            self._ask("hello")
            # First, as hashing the files takes a while: a worker that is busy is asked again every second.
            self._ask("claim", job)
        except WorkerLost as error:
            # It has nothing of ours, and may well work for others: it is not ended.
            raise WorkerLost(str(error), begun=False) from error
        lost = False
        try:
            parcel = pack(request, output)
            for name, path in parcel.files.items():
                for data in chunks(path):
                    cancel.check()
                    self._ask("receive", job, name, data)
            suffix, titles = parcel.paths.video.suffix.lower(), {name: path.name for name, path in parcel.files.items()}
            called = self._ask("start", job, parcel.request, suffix, titles)
            yield from self._listen(job, parcel, called, cancel)
        except WorkerLost:
            lost = True
            self._abandon()
            raise
        except UnknownJob as error:
            raise FantasyPortraitError("the worker gave the job up, as nobody had listened for long: try again") from (
                error
            )
        finally:
            if not lost:
                self._finish(job)

    def _listen(self, job: str, parcel: Parcel, called: Mapping[str, str], cancel: CancelToken) -> Iterator[Event]:
        seen = 0
        stop_at_s: float | None = None
        while True:
            if cancel.cancelled and stop_at_s is None:
                stop_at_s = time.monotonic() + self._stop_s
                self._ask("cancel", job)
            told = self._ask("poll", job, seen)
            for number, event in told:
                seen = number + 1
                if isinstance(event, Bug):
                    raise RuntimeError(f"the worker {self.name} has failed:\n{event.text}")
                yield self._here(job, event, parcel, called, cancel)
                if isinstance(event, events.Done | events.Failed | events.Cancelled):
                    return
            if not told:
                time.sleep(POLL_S)
            if stop_at_s is not None and time.monotonic() > stop_at_s:
                raise WorkerLost(STUCK)

    def _here(self, job: str, event: Event, parcel: Parcel, called: Mapping[str, str], cancel: CancelToken) -> Event:
        """The event with this machine's files, which are fetched where it is the end."""
        if isinstance(event, events.Note | events.Remark):
            return replace(event, text=translated(event.text, called, parcel))
        if isinstance(event, events.Failed):
            return events.Failed(self._error(event.error, called, parcel))
        if isinstance(event, events.Done):
            names = self._ask("results", job)
            side = fetch(parcel, names, lambda name, offset: bytes(self._ask("read", job, name, offset)), cancel)
            notes = tuple(translated(note, called, parcel) for note in event.result.notes)
            return events.Done(_result(event.result, parcel, side, notes))
        return event

    def _error(self, error: FantasyPortraitError, called: Mapping[str, str], parcel: Parcel) -> FantasyPortraitError:
        """What the worker's machine lacks has to be mended there."""
        text = translated(str(error), called, parcel)
        if isinstance(error, DependencyError | OutputError | WeightsError):
            text += f" (on the worker {self.name})"
        return type(error)(text)

    def _finish(self, job: str) -> None:
        """Stop the job, wait until it has, and leave nothing of it there."""
        stop_at_s = time.monotonic() + self._stop_s
        try:
            while not self._ask("finish", job):
                if time.monotonic() > stop_at_s:
                    raise WorkerLost(STUCK)
                time.sleep(POLL_S)
        except WorkerLost:
            self._abandon()
            raise


def _result(there: Result, parcel: Parcel, side: Path | None, notes: tuple[str, ...]) -> Result:
    paths = parcel.paths
    return replace(there, video=paths.video, side_by_side=side, request=paths.request, notes=notes)
