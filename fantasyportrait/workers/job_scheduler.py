"""Runs the jobs of a `JobStore` on the workers of a `JobQueue`, round robin between owners.

The scheduler alone writes the store. A pending job starts when a worker is free (`running`), and ends as `done`,
`failed` or `cancelled`. A running job that is cancelled is `stopping` until its worker has stopped. A job that runs
when the process ends stays `running` in the store: the next scheduler runs it first of its owner's jobs, and fails
it where two processes died with it.
"""

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace

from fantasyportrait.core.errors import RequestError
from fantasyportrait.core.sentences import Sentence
from fantasyportrait.workers.fair_order import in_order, next_rank
from fantasyportrait.workers.job_progress import retried
from fantasyportrait.workers.job_queue import JobQueue
from fantasyportrait.workers.job_runner import JobHandlers, JobRunner
from fantasyportrait.workers.job_store import JobRecord, JobStore

CLOSE_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class JobLimits:
    """How many jobs may be pending.

    Attributes:
        per_owner: of one owner.
        total: of all owners together.
    """

    per_owner: int = 8
    total: int = 64


class JobScheduler:
    """The jobs of all owners. Threads may share it. `start` runs pending jobs until `close`.

    A job of another owner raises the same `RequestError` as one that does not exist. Any method may raise `OutputError`
    where the store cannot be written.
    """

    def __init__(
        self, store: JobStore, queue: JobQueue, handlers: JobHandlers, limits: JobLimits | None = None
    ) -> None:
        self._store = store
        self._runner = JobRunner(store, queue, handlers)
        self._changed = self._runner.changed
        self._limits = limits or JobLimits()
        self._seen_s: dict[str, float] = {}
        self._made_s = time.monotonic()

    def start(self) -> None:
        """Recover the jobs that ran when the last process ended, then run what is pending."""
        self._runner.start()

    def close(self, timeout_s: float = CLOSE_TIMEOUT_S) -> None:
        """Stop the running jobs and wait for them; they run again when the next scheduler starts.

        A job that its owner has cancelled does not, and one that is done meanwhile is recorded.
        """
        self._runner.close(timeout_s)

    def submit(self, owner: str, payload: str, label: str, front: bool = False) -> JobRecord:
        """Add a pending job behind the owner's others, or before them. Raises `RequestError` above the limits."""
        with self._changed:
            self._check_limits(owner)
            rank = next_rank(self._store.jobs(owner), front)
            record = JobRecord(uuid.uuid4().hex, owner, payload, label, time.time(), rank=rank)
            self._store.add(record)
            self.touch(owner)
            self._changed.notify_all()
        return record

    def add_done(self, record: JobRecord, result: str) -> None:
        """Store a job that was done without a worker, with its result; the limits of pending jobs do not count."""
        with self._changed:
            self._store.add(replace(record, state="done", result=result, ended_s=time.time()))
            self.touch(record.owner)

    def cancel(self, owner: str, job_id: str) -> None:
        """End a pending job, or ask a running one to stop, which it does within a step. Others stay as they are."""
        with self._changed:
            self._runner.cancel(self._get(owner, job_id))

    def move(self, owner: str, job_id: str, before_id: str | None) -> None:
        """Put a pending job before another one of its owner, or with None behind all of them."""
        with self._changed:
            record = self._get(owner, job_id)
            before = None if before_id is None else self._get(owner, before_id)
            for each in (record, before):
                if each is not None and each.state != "pending":
                    raise RequestError(
                        "the job {id} is {state}: only a pending job can be moved", id=each.id, state=each.state
                    )
            if before_id == job_id:
                return
            others = [job for job in in_order(self._store.jobs(owner)) if job.id != job_id]
            at = len(others) if before is None else others.index(before)
            ordered = [*others[:at], record, *others[at:]]
            self._store.save(*(replace(job, rank=rank) for rank, job in enumerate(ordered)))

    def retry(self, owner: str, job_id: str) -> JobRecord:
        """Make a job that failed or was cancelled pending again, under the same id, behind its owner's others."""
        with self._changed:
            record = self._get(owner, job_id)
            if record.state not in ("failed", "cancelled"):
                raise RequestError(
                    "the job {job_id} is {state}: only one that failed or was cancelled can be tried again",
                    job_id=job_id,
                    state=record.state,
                )
            self._check_limits(owner)
            again = retried(record, next_rank(self._store.jobs(owner)))
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
            self._runner.delete([record])
        return record

    def delete_owner(self, owner: str) -> list[JobRecord]:
        """Delete all jobs of an owner, and stop those that run; returns them as they were."""
        with self._changed:
            records = self._store.jobs(owner)
            self._runner.delete(records)
            self._seen_s.pop(owner, None)
        return records

    def delete_ended(self, before_s: float) -> list[JobRecord]:
        """Delete the jobs of all owners that ended before that time, in seconds since 1970; returns them."""
        with self._changed:
            records = self._store.ended_before(before_s)
            self._runner.delete(records)
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
        ended = sorted((record for record in records if record.ended), key=lambda job: job.ended_s or 0.0)
        return [*running, *in_order(records), *reversed(ended)]

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
                    self._runner.cancel(
                        record,
                        Sentence(
                            "cancelled, as its page was closed for {minutes:g} minutes: try it again",
                            minutes=grace / 60,
                        ),
                    )
                    left.append(record)
        return left

    def _get(self, owner: str, job_id: str) -> JobRecord:
        record = self._store.job(owner, job_id)
        if record is None:
            raise RequestError("there is no job {job}: it was deleted, or it has expired", job=job_id)
        return record

    def _placed(self, records: list[JobRecord]) -> list[JobRecord]:
        places = {record.id: place for place, record in enumerate(self._runner.order())}
        return [replace(record, place=places.get(record.id)) for record in records]

    def _check_limits(self, owner: str) -> None:
        pending = self._store.in_state("pending")
        own = sum(record.owner == owner for record in pending)
        if own >= self._limits.per_owner:
            raise RequestError(
                "you have {own} of {most} pending jobs: cancel one, or wait until one starts",
                own=own,
                most=self._limits.per_owner,
            )
        if len(pending) >= self._limits.total:
            raise RequestError(
                "the server has {count} of {most} pending jobs: try again in some minutes",
                count=len(pending),
                most=self._limits.total,
            )
