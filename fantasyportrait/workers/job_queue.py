"""The job queue: first in, first out over a pool of workers; a job whose worker is lost is retried once."""

import itertools
import threading
import time
from bisect import insort
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Protocol

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import Cancelled, FantasyPortraitError
from fantasyportrait.core.sentences import Sentence
from fantasyportrait.schema import events
from fantasyportrait.schema.events import Event
from fantasyportrait.workers.job import Job, JobCall, call_function

POLL_INTERVAL_S = 0.2
# How often the workers are listed while a job is queued, and how long a job stays queued without any worker: the pool
# notices a lost worker within a minute, and its replacement may take three minutes to start.
REFRESH_INTERVAL_S = 1.0
WORKER_TIMEOUT_S = 300.0
# How long a worker that is busy with a job of another client is left out.
BUSY_BACKOFF_S = 1.0
# How long a lost worker is left out. A dead one is no longer listed by then; where only the connection
# to it broke, it is busy until it has stopped the job that it was lost with.
LOST_COOLDOWN_S = 60.0


class WorkerLost(Exception):
    """The worker died or does not answer. `started`: it had the job already, which may be the cause."""

    def __init__(self, text: str, started: bool = True) -> None:
        super().__init__(text)
        self.started = started


class WorkerBusy(Exception):
    """The worker runs a job of another client, or is not ready yet. Nothing was started."""


class Worker(Protocol):
    """Runs a job, in this process or elsewhere."""

    @property
    def name(self) -> str:
        """Unique among the workers; a worker that replaces this one has another name."""
        ...

    def events(self, job: Job, cancel: CancelToken) -> Generator[Event, None, None]:
        """The job's events; the last is Done, Failed or Cancelled, or a `FantasyPortraitError` is raised.

        Raises `WorkerLost` or `WorkerBusy`; then no output was written. Closing the generator stops the work.
        """
        ...


class LocalWorker:
    """Runs jobs in this process. Job functions get `state` and the original paths of the files."""

    name = "local"

    def __init__(self, state: object) -> None:
        self._state = state

    def events(self, job: Job, cancel: CancelToken) -> Generator[Event, None, None]:
        """The events of the job's function."""
        inputs = {path.as_posix(): path for path in job.inputs}
        output = next(iter(job.outputs.values()))
        return call_function(job.function, self._state, JobCall(job.arguments, inputs, output, cancel))


@dataclass(frozen=True, eq=False)
class _QueueEntry:
    """A queued job, in the order of `number`: a job that a busy worker refused keeps its position.

    A cancelled job does not hold up the jobs behind it, even if its events are not consumed.
    """

    number: int
    token: CancelToken


class JobQueue:
    """Jobs for a pool of workers, first in, first out. Threads may share it.

    `refresh` lists the present workers: new ones join, and idle ones that are no longer listed leave. Without it the
    workers stay the same. A lost worker is used again where it is still listed a minute later.
    """

    def __init__(
        self,
        workers: Sequence[Worker] = (),
        refresh: Callable[[], Sequence[Worker]] | None = None,
        worker_timeout_s: float = WORKER_TIMEOUT_S,
    ) -> None:
        self._refresh = refresh
        self._worker_timeout_s = worker_timeout_s if refresh else 0.0
        self._changed = threading.Condition()
        self._refreshing = threading.Lock()
        self._refreshed_s = float("-inf")
        self._numbers = itertools.count()
        self._queue: list[_QueueEntry] = []
        self._idle: list[Worker] = list(workers)
        self._backoff_until_s: dict[str, float] = {}
        self._busy: set[str] = set()
        self._cooldown_until_s: dict[str, float] = {}

    def worker_count(self) -> int:
        """How many workers are present, idle or busy: as many jobs run at once. May list the workers again."""
        self._refresh_workers()
        with self._changed:
            return len(self._idle) + len(self._busy)

    def events(self, job: Job, cancel: CancelToken | None = None) -> Generator[Event, None, None]:
        """Acquire a worker, run the job there and yield its events; the last is Done, Failed or Cancelled.

        Closing the generator takes the job out of the queue or stops it. The worker is released before the last event.
        A job whose worker is lost is retried once on another worker.
        """
        token = cancel or CancelToken()
        entry = _QueueEntry(next(self._numbers), token)
        losses = 0
        while True:
            try:
                worker = yield from self._acquire_worker(entry)
            except Cancelled:
                yield events.Cancelled()
                return
            except FantasyPortraitError as error:
                yield events.Failed(error)
                return
            end = yield from self._run_on_worker(worker, job, token)
            if isinstance(end, WorkerBusy):
                continue
            if not isinstance(end, WorkerLost):
                yield end
                return
            losses += end.started
            if token.cancelled:
                yield events.Cancelled()
                return
            if losses > 1:
                yield events.Failed(FantasyPortraitError(_lost_twice(end)))
                return
            if end.started:
                text = Sentence(
                    "the worker {name} was lost ({end}): the job restarts on another worker", name=worker.name, end=end
                )
                yield events.Message(text, keep=False)

    def _acquire_worker(self, entry: _QueueEntry) -> Generator[Event, None, Worker]:
        """Wait until the job is first in the queue and acquire a worker; yield `Queued` when the position changes."""
        last_position = -1
        deadline_s = time.monotonic() + self._worker_timeout_s
        with self._changed:
            insort(self._queue, entry, key=lambda other: other.number)
        try:
            while True:
                entry.token.check()
                self._refresh_workers()
                with self._changed:
                    position = self._position(entry)
                    worker = self._pop_idle() if position == 0 else None
                    if worker is not None:
                        return worker
                    none = not self._idle and not self._busy
                    if position == last_position:
                        self._changed.wait(POLL_INTERVAL_S)
                if not none:
                    deadline_s = time.monotonic() + self._worker_timeout_s
                elif time.monotonic() >= deadline_s:
                    raise FantasyPortraitError(
                        "no worker is available: start one with  fantasyportrait workers, and try again"
                    )
                if position != last_position:
                    last_position = position
                    yield events.Queued(position)
        finally:
            with self._changed:
                self._queue.remove(entry)
                self._changed.notify_all()

    def _position(self, entry: _QueueEntry) -> int:
        before = self._queue[: self._queue.index(entry)]
        return sum(not other.token.cancelled for other in before)

    def _pop_idle(self) -> Worker | None:
        """The first idle worker without a backoff, which becomes busy; called with the lock."""
        now_s = time.monotonic()
        for worker in self._idle:
            if self._backoff_until_s.get(worker.name, now_s) <= now_s:
                self._idle.remove(worker)
                self._backoff_until_s.pop(worker.name, None)
                self._busy.add(worker.name)
                return worker
        return None

    def _run_on_worker(
        self, worker: Worker, job: Job, token: CancelToken
    ) -> Generator[Event, None, Event | WorkerLost | WorkerBusy]:
        """Yield the worker's events but the last, and return the last one, or the reason why there is none."""
        last: Event | None = None
        none: WorkerLost | WorkerBusy | None = None
        try:
            with closing(worker.events(job, token)) as event_stream:
                for event in event_stream:
                    if isinstance(event, events.Done | events.Failed | events.Cancelled):
                        last = event
                        break
                    yield event
        except (WorkerLost, WorkerBusy) as error:
            none = error
        except Cancelled:
            last = events.Cancelled()
        except FantasyPortraitError as error:
            last = events.Failed(error)
        finally:
            self._release(worker, none)
        # A worker that is lost after its last event does not affect this job.
        end = last or none
        if end is None:
            raise RuntimeError(f"the worker {worker.name} ended without Done, Failed or Cancelled")
        return end

    def _release(self, worker: Worker, why: WorkerLost | WorkerBusy | None) -> None:
        with self._changed:
            self._busy.discard(worker.name)
            if isinstance(why, WorkerLost):
                self._cooldown_until_s[worker.name] = time.monotonic() + LOST_COOLDOWN_S
                # Its replacement may be there already.
                self._refreshed_s = float("-inf")
            else:
                self._idle.append(worker)
            if isinstance(why, WorkerBusy):
                self._backoff_until_s[worker.name] = time.monotonic() + BUSY_BACKOFF_S
            self._changed.notify_all()

    def _refresh_workers(self) -> None:
        """List the workers again after `REFRESH_INTERVAL_S`; one thread does it for all."""
        if self._refresh is None or not self._refreshing.acquire(blocking=False):
            return
        try:
            if time.monotonic() - self._refreshed_s < REFRESH_INTERVAL_S:
                return
            now = {worker.name: worker for worker in self._refresh()}
            self._refreshed_s = time.monotonic()
            with self._changed:
                self._cooldown_until_s = {
                    name: end for name, end in self._cooldown_until_s.items() if end > self._refreshed_s
                }
                # The newly listed objects: the old ones may belong to a connection that has ended.
                stay = [now[worker.name] for worker in self._idle if worker.name in now]
                known = {worker.name for worker in stay} | self._busy | self._cooldown_until_s.keys()
                self._idle = stay + [worker for name, worker in now.items() if name not in known]
                self._changed.notify_all()
        finally:
            self._refreshing.release()


def _lost_twice(loss: WorkerLost) -> str:
    return Sentence(
        "two workers were lost with this job, the second one because {loss}: see the workers' logs, or ask for "
        "a shorter or smaller video",
        loss=loss,
    )
