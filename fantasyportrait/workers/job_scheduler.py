"""Runs the jobs of a `JobStore` on the workers of a `JobQueue`, in fair turns between owners.

The scheduler alone writes the store. A pending job starts when a worker is free (`running`), and ends as `done`,
`failed` or `cancelled`. A running job that is cancelled is `stopping` until its worker has stopped. A job that runs
when the process ends stays `running` in the store: the next scheduler puts it first in its owner's line, and fails it
where two processes died with it.
"""

import logging
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import FantasyPortraitError, RequestError
from fantasyportrait.schema import events
from fantasyportrait.schema.events import Event, Result
from fantasyportrait.workers.fair_order import fair_order
from fantasyportrait.workers.job import Job
from fantasyportrait.workers.job_progress import (
    UNEXPECTED_ERROR,
    cancelled,
    recovered,
    retried,
    started,
    with_end,
    with_event,
)
from fantasyportrait.workers.job_queue import REFRESH_INTERVAL_S, JobQueue
from fantasyportrait.workers.job_store import JobRecord, JobStore

# A few writes a second, however fast the steps are.
STEP_INTERVAL_S = 0.25
CLOSE_TIMEOUT_S = 30.0
MAX_OWNERS_SERVED = 10_000


@dataclass(frozen=True)
class JobLimits:
    """How many jobs may be pending.

    Attributes:
        per_owner: of one owner.
        total: of all owners together.
    """

    per_owner: int = 8
    total: int = 64


@dataclass(frozen=True)
class JobHandlers:
    """What the scheduler calls. All are called without its lock, from several threads.

    Attributes:
        make_job: the `Job` of a record that starts; a `FantasyPortraitError` of it is the job's error.
        encode_result: the JSON text that the store keeps of a result.
        on_event: gets the record of a running job and its event, also preview images; not the last event.
        on_end: gets the record of a job that ran and has ended, before the store has it, so that what it registers is
            there when the page shows the end; again after a restart, if the process was killed in between. A job that
            was deleted while it ran counts as cancelled.
    """

    make_job: Callable[[JobRecord], Job]
    encode_result: Callable[[Result], str]
    on_event: Callable[[JobRecord, Event], None] = lambda record, event: None
    on_end: Callable[[JobRecord], None] = lambda record: None


@dataclass
class _Run:
    """A job that a worker has, or waits for."""

    record: JobRecord
    token: CancelToken = field(default_factory=CancelToken)
    thread: threading.Thread | None = None
    step_saved_s: float = float("-inf")


class JobScheduler:
    """The jobs of all owners. Threads may share it. `start` runs pending jobs until `close`.

    A job of another owner raises the same `RequestError` as one that does not exist. Any method may raise `OutputError`
    where the store cannot be written.
    """

    def __init__(
        self, store: JobStore, queue: JobQueue, handlers: JobHandlers, limits: JobLimits | None = None
    ) -> None:
        self._store = store
        self._queue = queue
        self._handlers = handlers
        self._limits = limits or JobLimits()
        self._changed = threading.Condition(threading.RLock())
        self._runs: dict[str, _Run] = {}
        # In the order in which they were served; the values mean nothing.
        self._served = dict.fromkeys(store.owners_by_start())
        self._seen_s: dict[str, float] = {}
        self._made_s = time.monotonic()
        self._closed = False
        self._dispatcher = threading.Thread(target=self._dispatch, name="fantasyportrait-scheduler", daemon=True)

    def start(self) -> None:
        """Recover the jobs that ran when the last process ended, then run what is pending."""
        with self._changed:
            # The first that was started comes first in its owner's line, so it is put there last.
            running = sorted(self._store.in_state("running"), key=lambda job: job.started_s or 0.0, reverse=True)
            records = []
            for record in running:
                records.append(recovered(record, self._rank(record.owner, front=True)))
                if not records[-1].ended:
                    self._store.save(records[-1])
        for record in records:
            if record.ended:
                self._call(partial(self._handlers.on_end, record))
                self._store.save(record)
        self._dispatcher.start()

    def close(self, timeout_s: float = CLOSE_TIMEOUT_S) -> None:
        """Stop the running jobs and wait for them; they run again when the next scheduler starts.

        A job that its owner has cancelled does not, and one that is done meanwhile is recorded.
        """
        with self._changed:
            runs = [] if self._closed else list(self._runs.values())
            self._closed = True
            self._changed.notify_all()
            for run in runs:
                current = self._store.job(run.record.owner, run.record.id)
                if current is not None:
                    self._store.save(replace(current, attempts=current.attempts - 1))
        for run in runs:
            run.token.cancel()
        deadline_s = time.monotonic() + timeout_s
        threads = [self._dispatcher, *(run.thread for run in runs if run.thread is not None)]
        for thread in threads:
            if thread.is_alive():
                thread.join(max(0.0, deadline_s - time.monotonic()))

    def submit(self, owner: str, payload: str, label: str, front: bool = False) -> JobRecord:
        """Add a pending job at the end of the owner's line, or at its front. Raises `RequestError` above the limits."""
        with self._changed:
            self._check_limits(owner)
            rank = self._rank(owner, front)
            record = JobRecord(uuid.uuid4().hex, owner, payload, label, time.time(), rank=rank)
            self._store.add(record)
            self.touch(owner)
            self._changed.notify_all()
        return record

    def cancel(self, owner: str, job_id: str) -> None:
        """End a pending job, or ask a running one to stop, which it does within a step. Others stay as they are."""
        with self._changed:
            self._cancel(self._get(owner, job_id))

    def move(self, owner: str, job_id: str, before_id: str | None) -> None:
        """Put a pending job before another one of its owner's line, or with None at its end."""
        with self._changed:
            record = self._get(owner, job_id)
            before = None if before_id is None else self._get(owner, before_id)
            for each in (record, before):
                if each is not None and each.state != "pending":
                    raise RequestError(f"the job {each.id} is {each.state}: only a pending job has a place in line")
            line = [job for job in self._line(owner) if job.id != record.id]
            at = len(line)
            if before is not None and before.id != record.id:
                at = [job.id for job in line].index(before.id)
            elif before is not None:
                return
            line.insert(at, record)
            self._store.save(*(replace(job, rank=rank) for rank, job in enumerate(line)))

    def retry(self, owner: str, job_id: str) -> JobRecord:
        """Put a job that failed or was cancelled at the end of its owner's line again, under the same id."""
        with self._changed:
            record = self._get(owner, job_id)
            if record.state not in ("failed", "cancelled"):
                raise RequestError(
                    f"the job {job_id} is {record.state}: only one that failed or was cancelled can be tried again"
                )
            self._check_limits(owner)
            again = retried(record, self._rank(owner))
            self._store.save(again)
            self.touch(owner)
            self._changed.notify_all()
        return again

    def duplicate(self, owner: str, job_id: str) -> JobRecord:
        """Submit the payload and label of a job again, as a new job."""
        record = self._get(owner, job_id)
        return self.submit(owner, record.payload, record.label)

    def delete(self, owner: str, job_id: str) -> JobRecord:
        """Delete a job, and stop it where it runs; returns it as it was."""
        with self._changed:
            record = self._get(owner, job_id)
            self._delete([record])
        return record

    def delete_owner(self, owner: str) -> list[JobRecord]:
        """Delete all jobs of an owner, and stop those that run; returns them as they were."""
        with self._changed:
            records = self._store.jobs(owner)
            self._delete(records)
            self._seen_s.pop(owner, None)
        return records

    def delete_ended(self, before_s: float) -> list[JobRecord]:
        """Delete the jobs of all owners that ended before that time, in seconds since 1970; returns them."""
        with self._changed:
            records = self._store.ended_before(before_s)
            self._delete(records)
        return records

    def job(self, owner: str, job_id: str) -> JobRecord:
        """A job of the owner, with its place if it is pending. Raises `RequestError` where he has no such job."""
        with self._changed:
            return self._placed([self._get(owner, job_id)])[0]

    def jobs(self, owner: str) -> list[JobRecord]:
        """The owner's jobs: running, then pending in the order in which they run, then ended, the latest first."""
        with self._changed:
            records = self._placed(self._store.jobs(owner))
        running = [record for record in records if record.state == "running"]
        pending = sorted((record for record in records if record.state == "pending"), key=lambda job: job.rank)
        ended = sorted((record for record in records if record.ended), key=lambda job: job.ended_s or 0.0)
        return [*running, *pending, *reversed(ended)]

    def touch(self, owner: str) -> None:
        """Note that the owner's page is open."""
        with self._changed:
            self._seen_s[owner] = time.monotonic()

    def abandon(self, grace_s: Callable[[JobRecord], float | None]) -> list[JobRecord]:
        """Cancel the jobs whose owner was not seen for their grace time, and return them as they were.

        `grace_s` gives the time in seconds, None for a job that runs without its owner. Owners count as seen when the
        scheduler was made.
        """
        now_s = time.monotonic()
        with self._changed:
            active = self._store.in_state("pending", "running")
            owners = {record.owner for record in active}
            self._seen_s = {owner: seen_s for owner, seen_s in self._seen_s.items() if owner in owners}
            left = []
            for record in active:
                grace = grace_s(record)
                unseen_s = now_s - self._seen_s.get(record.owner, self._made_s)
                if grace is not None and unseen_s > grace and not record.stopping:
                    self._cancel(record, f"cancelled, as its page was closed for {grace / 60:g} minutes: try it again")
                    left.append(record)
        return left

    def _get(self, owner: str, job_id: str) -> JobRecord:
        record = self._store.job(owner, job_id)
        if record is None:
            raise RequestError(f"there is no job {job_id}: it was deleted, or it has expired")
        return record

    def _line(self, owner: str) -> list[JobRecord]:
        """The owner's pending jobs in his order."""
        pending = [record for record in self._store.jobs(owner) if record.state == "pending"]
        return sorted(pending, key=lambda job: job.rank)

    def _rank(self, owner: str, front: bool = False) -> int:
        """The rank of a job at an end of the owner's line."""
        line = self._line(owner)
        if not line:
            return 0
        return line[0].rank - 1 if front else line[-1].rank + 1

    def _order(self) -> list[JobRecord]:
        return fair_order(self._store.in_state("pending"), list(self._served))

    def _placed(self, records: list[JobRecord]) -> list[JobRecord]:
        places = {record.id: place for place, record in enumerate(self._order())}
        return [replace(record, place=places.get(record.id)) for record in records]

    def _check_limits(self, owner: str) -> None:
        pending = self._store.in_state("pending")
        own = sum(record.owner == owner for record in pending)
        if own >= self._limits.per_owner:
            raise RequestError(
                f"{own} of your jobs wait, and {self._limits.per_owner} may: wait for one to start, or cancel one"
            )
        if len(pending) >= self._limits.total:
            raise RequestError(
                f"{len(pending)} jobs wait on this server, and {self._limits.total} may: try again in some minutes"
            )

    def _cancel(self, record: JobRecord, error: str | None = None) -> None:
        run = self._runs.get(record.id)
        if run is not None:
            self._store.save(replace(record, stopping=True, error=error))
            run.token.cancel()
        elif not record.ended:
            self._store.save(cancelled(record, error))

    def _delete(self, records: list[JobRecord]) -> None:
        self._store.delete(*records)
        for record in records:
            if record.id in self._runs:
                self._runs[record.id].token.cancel()

    def _dispatch(self) -> None:
        """Start pending jobs while workers are free, until the scheduler is closed."""
        while True:
            slots = self._slots()
            with self._changed:
                if self._closed:
                    return
                try:
                    pending = self._start_jobs(slots)
                except Exception:
                    logging.getLogger(__name__).exception("no job can be started")
                    pending = True
                # The number of workers may change while jobs are pending.
                self._changed.wait(REFRESH_INTERVAL_S if pending else None)

    def _slots(self) -> int:
        """How many jobs run at once. One waits in the queue where no worker is present, which fails it in the end."""
        try:
            return max(1, self._queue.worker_count())
        except FantasyPortraitError:
            logging.getLogger(__name__).exception("the workers cannot be listed")
            return 1

    def _start_jobs(self, slots: int) -> bool:
        """Start as many jobs as there are slots; returns whether some stay pending."""
        order = self._order()
        free = max(0, slots - len(self._runs))
        for record in order[:free]:
            run = _Run(started(record))
            self._store.save(run.record)
            self._served.pop(record.owner, None)
            self._served[record.owner] = None
            if len(self._served) > MAX_OWNERS_SERVED:
                del self._served[next(iter(self._served))]
            self._runs[record.id] = run
            run.thread = threading.Thread(
                target=self._run, args=(run,), name=f"fantasyportrait-job-{record.id}", daemon=True
            )
            run.thread.start()
        return len(order) > free

    def _run(self, run: _Run) -> None:
        """Run a job on a worker and record what happens."""
        try:
            end = self._last_event(run)
        except FantasyPortraitError as error:
            end = events.Failed(error)
        except Exception:
            logging.getLogger(__name__).exception("the job %s has failed", run.record.id)
            end = events.Failed(FantasyPortraitError(UNEXPECTED_ERROR))
        record = None
        try:
            record = self._ended(run, end)
            if record is not None:
                self._call(partial(self._handlers.on_end, record))
        except FantasyPortraitError:
            logging.getLogger(__name__).exception("the job %s cannot be read", run.record.id)
        self._close_run(run, record)

    def _close_run(self, run: _Run, record: JobRecord | None) -> None:
        """Store the end and free the slot in one step, as a job that is stored as failed may be retried at once."""
        with self._changed:
            del self._runs[run.record.id]
            self._changed.notify_all()
            try:
                if record is not None:
                    self._store.save(record)
            except FantasyPortraitError:  # it stays running in the store, and is recovered at the next start
                logging.getLogger(__name__).exception("the end of the job %s cannot be stored", run.record.id)

    def _last_event(self, run: _Run) -> Event:
        with closing(self._queue.events(self._handlers.make_job(run.record), run.token)) as event_stream:
            for event in event_stream:
                if isinstance(event, events.Done | events.Failed | events.Cancelled):
                    return event
                self._record_event(run, event)
        raise RuntimeError("the queue ended without Done, Failed or Cancelled")

    def _record_event(self, run: _Run, event: Event) -> None:
        with self._changed:
            current = self._store.job(run.record.owner, run.record.id)
            if current is not None:
                run.record = with_event(current, event)
                if run.record != current and self._is_due(run, current, event):
                    self._store.save(run.record)
        self._call(partial(self._handlers.on_event, run.record, event))

    def _is_due(self, run: _Run, stored: JobRecord, event: Event) -> bool:
        """Whether an event is stored: all but steps that follow each other fast."""
        if not isinstance(event, events.Step):
            return True
        now_s = time.monotonic()
        first_or_last = not stored.total or event.stage != stored.stage or event.done == event.total
        if not first_or_last and now_s - run.step_saved_s < STEP_INTERVAL_S:
            return False
        run.step_saved_s = now_s
        return True

    def _ended(self, run: _Run, end: Event) -> JobRecord | None:
        """The record of a job after its last event, None where `close` interrupted it."""
        with self._changed:
            current = self._store.job(run.record.owner, run.record.id)
            closed = self._closed
        if current is None:
            return cancelled(run.record)
        if closed and not current.stopping and not isinstance(end, events.Done):
            return None
        return with_end(current, end, self._handlers.encode_result)

    def _call(self, handler: Callable[[], None]) -> None:
        """Call a handler of the service; an error of it is logged and stops no job."""
        try:
            handler()
        except Exception:
            logging.getLogger(__name__).exception("a handler of jobs has failed")
