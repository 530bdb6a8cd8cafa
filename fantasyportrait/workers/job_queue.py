"""The queue: requests wait in a line, free workers take them in its order, and a job whose worker dies begins again."""

import itertools
import threading
import time
from bisect import insort
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import Cancelled, FantasyPortraitError
from fantasyportrait.schema import events
from fantasyportrait.schema.events import Event
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.service.animator import Animator

POLL_S = 0.2
# How often the workers are listed while somebody waits, and how long one waits where there is none at all: a worker
# that takes the place of a lost one is seen to be needed within a minute, and may then take three to be ready.
REFRESH_S = 1.0
PATIENCE_S = 300.0
# How long a worker that works for somebody else is left alone.
REST_S = 1.0
# How long a worker that was lost is not asked again. One that has died is no longer listed by then; where only the
# connection to it had broken, it refuses until it has stopped the job that it was lost with.
LOST_S = 60.0


class WorkerLost(Exception):
    """The worker died or does not answer. `begun`: it had the job already, which may be what it died of."""

    def __init__(self, text: str, begun: bool = True) -> None:
        super().__init__(text)
        self.begun = begun


class WorkerBusy(Exception):
    """The worker works for somebody else who shares it, or is not ready. Nothing was begun."""


class Worker(Protocol):
    """Runs a request, here or elsewhere."""

    @property
    def name(self) -> str:
        """What tells it from the others; a worker that takes its place has another name."""
        ...

    def events(self, request: AnimationRequest, output: Path, cancel: CancelToken) -> Generator[Event, None, None]:
        """What happens, as `Animator.events` tells it; a `FantasyPortraitError` may also be raised.

        Raises `WorkerLost` or `WorkerBusy`; then nothing was written. Closing the generator stops the work.
        """
        ...


class LocalWorker:
    """This process."""

    name = "here"

    def __init__(self, animator: Animator) -> None:
        self._animator = animator

    def events(self, request: AnimationRequest, output: Path, cancel: CancelToken) -> Generator[Event, None, None]:
        """The animator's own events."""
        return self._animator.events(request, output, cancel)


@dataclass(frozen=True, eq=False)
class _Place:
    """A job's place in the line, in the order of the numbers: who has had a turn in vain is before all who came later.

    Who was cancelled holds nobody up, even where its listener does not listen.
    """

    number: int
    token: CancelToken


class JobQueue:
    """First come, first served. Threads may share it.

    `refresh` lists the workers that there are now: new ones join, and idle ones that are gone are left out. Without it
    the workers stay those of the beginning. A worker that was lost comes back where it is still listed a minute later.
    """

    def __init__(
        self,
        workers: Sequence[Worker] = (),
        refresh: Callable[[], Sequence[Worker]] | None = None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._refresh = refresh
        self._patience_s = patience_s if refresh else 0.0
        self._changed = threading.Condition()
        self._refreshing = threading.Lock()
        self._listed_s = float("-inf")
        self._numbers = itertools.count()
        self._line: list[_Place] = []
        self._free: list[Worker] = list(workers)
        self._rest_until_s: dict[str, float] = {}
        self._busy: set[str] = set()
        self._lost_until_s: dict[str, float] = {}

    def events(
        self, request: AnimationRequest, output: Path, cancel: CancelToken | None = None
    ) -> Generator[Event, None, None]:
        """Wait for a worker, run the request there and yield what happens; the last is Done, Failed or Cancelled.

        Whoever stops listening (closes the generator) leaves the line or stops the work. When the last event comes the
        worker is free again. A job that a worker was lost with begins once more on another one.
        """
        token = cancel or CancelToken()
        place = _Place(next(self._numbers), token)
        losses = 0
        while True:
            try:
                worker = yield from self._turn(place)
            except Cancelled:
                yield events.Cancelled()
                return
            except FantasyPortraitError as error:
                yield events.Failed(error)
                return
            end = yield from self._work(worker, request, output, token)
            if isinstance(end, WorkerBusy):
                continue
            if not isinstance(end, WorkerLost):
                yield end
                return
            losses += end.begun
            if token.cancelled:
                yield events.Cancelled()
                return
            if losses > 1:
                yield events.Failed(FantasyPortraitError(_twice(end)))
                return
            if end.begun:
                yield events.Remark(f"the worker {worker.name} was lost ({end}): the job begins again on another one")

    def _turn(self, place: _Place) -> Generator[Event, None, Worker]:
        """Wait for the turn and take a worker. Tells how many are ahead."""
        told = -1
        patient_until_s = time.monotonic() + self._patience_s
        with self._changed:
            insort(self._line, place, key=lambda other: other.number)
        try:
            while True:
                place.token.check()
                self._list_workers()
                with self._changed:
                    ahead = self._ahead(place)
                    worker = self._take() if ahead == 0 else None
                    if worker is not None:
                        return worker
                    none = not self._free and not self._busy
                    if ahead == told:
                        self._changed.wait(POLL_S)
                if not none:
                    patient_until_s = time.monotonic() + self._patience_s
                elif time.monotonic() >= patient_until_s:
                    raise FantasyPortraitError(
                        "no worker is there to do this: start some with  fantasyportrait workers, and try again"
                    )
                if ahead != told:
                    told = ahead
                    yield events.Waiting(ahead)
        finally:
            with self._changed:
                self._line.remove(place)
                self._changed.notify_all()

    def _ahead(self, place: _Place) -> int:
        before = self._line[: self._line.index(place)]
        return sum(not other.token.cancelled for other in before)

    def _take(self) -> Worker | None:
        """The first of the free workers that do not rest, which is then busy; called with the lock."""
        now_s = time.monotonic()
        for worker in self._free:
            if self._rest_until_s.get(worker.name, now_s) <= now_s:
                self._free.remove(worker)
                self._rest_until_s.pop(worker.name, None)
                self._busy.add(worker.name)
                return worker
        return None

    def _work(
        self, worker: Worker, request: AnimationRequest, output: Path, token: CancelToken
    ) -> Generator[Event, None, Event | WorkerLost | WorkerBusy]:
        """Yield the worker's events but the last, and return that one, or why there is none."""
        last: Event | None = None
        none: WorkerLost | WorkerBusy | None = None
        try:
            with closing(worker.events(request, output, token)) as happening:
                for event in happening:
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
            self._give_back(worker, none)
        # A worker that was lost after it had told the end is no loss for this job.
        end = last or none
        if end is None:
            raise RuntimeError(f"the worker {worker.name} stopped without an end")
        return end

    def _give_back(self, worker: Worker, why: WorkerLost | WorkerBusy | None) -> None:
        with self._changed:
            self._busy.discard(worker.name)
            if isinstance(why, WorkerLost):
                self._lost_until_s[worker.name] = time.monotonic() + LOST_S
                # Whoever takes its place may be there already.
                self._listed_s = float("-inf")
            else:
                self._free.append(worker)
            if isinstance(why, WorkerBusy):
                self._rest_until_s[worker.name] = time.monotonic() + REST_S
            self._changed.notify_all()

    def _list_workers(self) -> None:
        """Bring the free workers up to date, now and then; one thread asks for all."""
        if self._refresh is None or not self._refreshing.acquire(blocking=False):
            return
        try:
            if time.monotonic() - self._listed_s < REFRESH_S:
                return
            now = {worker.name: worker for worker in self._refresh()}
            self._listed_s = time.monotonic()
            with self._changed:
                self._lost_until_s = {name: end for name, end in self._lost_until_s.items() if end > self._listed_s}
                # As they are listed now: after a connection that ended, an old one leads nowhere.
                stay = [now[worker.name] for worker in self._free if worker.name in now]
                known = {worker.name for worker in stay} | self._busy | self._lost_until_s.keys()
                self._free = stay + [worker for name, worker in now.items() if name not in known]
                self._changed.notify_all()
        finally:
            self._refreshing.release()


def _twice(loss: WorkerLost) -> str:
    return (
        f"two workers were lost with this job, the second one because {loss}: look into the workers' logs, or ask for "
        "a shorter or smaller video"
    )
