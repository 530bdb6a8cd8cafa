"""Runs stored jobs on the workers of a `JobQueue`, each in a thread, and records what happens to them."""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import Cancelled, FantasyPortraitError
from fantasyportrait.schema import events
from fantasyportrait.schema.events import Event, Result
from fantasyportrait.workers.fair_order import fair_order, next_rank
from fantasyportrait.workers.job import Job
from fantasyportrait.workers.job_progress import (
    UNEXPECTED_ERROR,
    cancelled,
    recovered,
    started,
    with_end,
    with_event,
)
from fantasyportrait.workers.job_queue import REFRESH_INTERVAL_S, JobQueue
from fantasyportrait.workers.job_store import JobRecord, JobStore

# A few writes a second, however fast the steps are.
STEP_INTERVAL_S = 0.25
MAX_OWNERS_SERVED = 10_000


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
        prepare: is called before `make_job` with the record, a function that takes events, and the token of the job:
            it waits for what the job needs, or refuses it with a `FantasyPortraitError`.
    """

    make_job: Callable[[JobRecord], Job]
    encode_result: Callable[[Result], str]
    on_event: Callable[[JobRecord, Event], None] = lambda record, event: None
    on_end: Callable[[JobRecord], None] = lambda record: None
    prepare: Callable[[JobRecord, Callable[[Event], None], CancelToken], None] = lambda record, emit, cancel: None


@dataclass
class _Run:
    """A job that a worker has, or waits for."""

    record: JobRecord
    token: CancelToken = field(default_factory=CancelToken)
    thread: threading.Thread | None = None
    step_saved_s: float = float("-inf")


class JobRunner:
    """Starts pending jobs, round robin between owners, while workers are free, from `start` to `close`.

    Attributes:
        changed: the lock of everything that changes the store; notify it when a job becomes pending.
    """

    def __init__(self, store: JobStore, queue: JobQueue, handlers: JobHandlers) -> None:
        self.changed = threading.Condition(threading.RLock())
        self._store = store
        self._queue = queue
        self._handlers = handlers
        self._runs: dict[str, _Run] = {}
        # In the order in which they were served; the values mean nothing.
        self._served: dict[str, None] = {}
        self._closed = False
        self._dispatcher = threading.Thread(target=self._dispatch, name="fantasyportrait-scheduler", daemon=True)

    def start(self) -> None:
        """Recover the jobs that ran when the last process ended, then run what is pending."""
        with self.changed:
            # The first that was started comes first of its owner's jobs, so it is put there last.
            running = sorted(self._store.in_state("running"), key=lambda job: job.started_s or 0.0, reverse=True)
            records = []
            for record in running:
                records.append(recovered(record, next_rank(self._store.jobs(record.owner), front=True)))
                if not records[-1].ended:
                    self._store.save(records[-1])
        for record in records:
            if record.ended:
                self._call(partial(self._handlers.on_end, record))
                self._store.save(record)
        self._served = dict.fromkeys(self._store.owners_by_start())
        self._dispatcher.start()

    def close(self, timeout_s: float) -> None:
        """Stop the running jobs and wait for them; they stay running in the store. See `JobScheduler.close`."""
        with self.changed:
            runs = [] if self._closed else list(self._runs.values())
            self._closed = True
            self.changed.notify_all()
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

    def order(self) -> list[JobRecord]:
        """The pending jobs in the order in which they run."""
        return fair_order(self._store.in_state("pending"), list(self._served))

    def cancel(self, record: JobRecord, error: str | None = None) -> None:
        """End a pending job, or ask a running one to stop; `error` says why."""
        with self.changed:
            run = self._runs.get(record.id)
            if run is not None:
                self._store.save(replace(record, stopping=True, error=error))
                run.token.cancel()
            elif not record.ended:
                self._store.save(cancelled(record, error))

    def delete(self, records: list[JobRecord]) -> None:
        """Delete jobs from the store, and stop those that run."""
        with self.changed:
            self._store.delete(*records)
            for record in records:
                if record.id in self._runs:
                    self._runs[record.id].token.cancel()

    def _dispatch(self) -> None:
        """Start pending jobs while workers are free, until the scheduler is closed."""
        while True:
            slots = self._slots()
            with self.changed:
                if self._closed:
                    return
                try:
                    pending = self._start_jobs(slots)
                except Exception:
                    logging.getLogger(__name__).exception("no job can be started")
                    pending = True
                # The number of workers may change while jobs are pending.
                self.changed.wait(REFRESH_INTERVAL_S if pending else None)

    def _slots(self) -> int:
        """How many jobs run at once. One waits in the queue where no worker is present, which fails it in the end."""
        try:
            return max(1, self._queue.worker_count())
        except Exception:  # the dispatcher stays alive where a cluster does not answer
            logging.getLogger(__name__).exception("the workers cannot be listed")
            return 1

    def _start_jobs(self, slots: int) -> bool:
        """Start as many jobs as there are slots; returns whether some stay pending."""
        order = self.order()
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
        if record is not None and record.state == "done" and self._is_deleted(record):
            # Deleted while `on_end` made what belongs to its result.
            self._call(partial(self._handlers.on_end, cancelled(record)))

    def _is_deleted(self, record: JobRecord) -> bool:
        try:
            return self._store.job(record.owner, record.id) is None
        except FantasyPortraitError:
            return False

    def _close_run(self, run: _Run, record: JobRecord | None) -> None:
        """Store the end and free the slot in one step, as a job that is stored as failed may be retried at once."""
        with self.changed:
            del self._runs[run.record.id]
            self.changed.notify_all()
            try:
                if record is not None:
                    self._store.save(record)
            except FantasyPortraitError:  # it stays running in the store, and is recovered at the next start
                logging.getLogger(__name__).exception("the end of the job %s cannot be stored", run.record.id)

    def _last_event(self, run: _Run) -> Event:
        try:
            self._handlers.prepare(run.record, lambda event: self._record_event(run, event), run.token)
        except Cancelled:
            return events.Cancelled()
        with closing(self._queue.events(self._handlers.make_job(run.record), run.token)) as event_stream:
            for event in event_stream:
                if isinstance(event, events.Done | events.Failed | events.Cancelled):
                    return event
                self._record_event(run, event)
        raise RuntimeError("the queue ended without Done, Failed or Cancelled")

    def _record_event(self, run: _Run, event: Event) -> None:
        with self.changed:
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
        with self.changed:
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
