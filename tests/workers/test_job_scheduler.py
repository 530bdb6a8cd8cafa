"""The scheduler with fake workers: states, the order between owners, cancelling, restarts, expiry."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import MediaError, OutputError, RequestError
from fantasyportrait.schema import events
from fantasyportrait.schema.events import Event
from fantasyportrait.workers import job_runner, job_scheduler
from fantasyportrait.workers.job import Job
from fantasyportrait.workers.job_progress import INTERRUPTED_TWICE, UNEXPECTED_ERROR
from fantasyportrait.workers.job_queue import JobQueue, Worker, WorkerBusy
from fantasyportrait.workers.job_runner import JobHandlers
from fantasyportrait.workers.job_scheduler import JobLimits, JobScheduler
from fantasyportrait.workers.job_store import QUEUED, JobRecord, JobStore

WAIT_S = 60.0
IMAGE = events.PreviewImage(np.zeros((2, 2, 3), np.uint8))


def done(name: str) -> events.Done:
    return events.Done(events.Result(Path(name), None, Path(f"{name}.json"), ("as asked",), 25, 1.0))


def make_job(record: JobRecord) -> Job:
    if record.payload == "unreadable":
        raise MediaError("no such photo")
    return Job("nowhere:none", record.payload, (), {"result": Path(record.payload)}, lambda: nullcontext(Path()))


class StoppingWorker:
    """Runs each job until it is cancelled or released; "partial" is done although it was cancelled."""

    def __init__(self, name: str = "a") -> None:
        self.name = name
        self.begun: list[str] = []
        self.released: set[str] = set()
        self.free = False

    def events(self, job: Job, cancel: CancelToken) -> Generator[Event, None, None]:
        """A stage, a step, a preview image; then the end."""
        name = job.arguments
        self.begun.append(name)
        yield events.Stage("render")
        yield events.Message("a message")
        yield events.Step("render", 3, 25, 2.5)
        yield IMAGE
        if name == "bug":
            raise ZeroDivisionError("inside")
        if name == "broken":
            error = MediaError("no such clip")
            error.messages = ("seen before",)
            raise error
        wait_for(lambda: self.free or cancel.cancelled or name in self.released)
        if name != "partial":
            cancel.check()
        yield done(name)


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


class House:
    """A scheduler with its store and worker, and what its handlers got."""

    def __init__(self, path: Path, worker: Worker | None = None, limits: JobLimits | None = None) -> None:
        self.worker = worker or StoppingWorker()
        self.store = JobStore(path)
        self.events: list[tuple[str, Event]] = []
        self.ended: list[JobRecord] = []
        self.on_end: Callable[[JobRecord], None] = lambda record: None
        handlers = JobHandlers(
            make_job,
            lambda result: json.dumps({"video": str(result.video)}),
            lambda record, event: self.events.append((record.payload, event)),
            self._end,
        )
        self.scheduler = JobScheduler(self.store, JobQueue([self.worker]), handlers, limits)

    def _end(self, record: JobRecord) -> None:
        self.ended.append(record)
        self.on_end(record)

    def submit(self, owner: str, *payloads: str) -> list[str]:
        return [self.scheduler.submit(owner, payload, "{}").id for payload in payloads]

    def states(self, owner: str) -> dict[str, str]:
        return {record.payload: record.state for record in self.scheduler.jobs(owner)}

    def wait(self, owner: str, payload: str, state: str) -> None:
        wait_for(lambda: self.states(owner)[payload] == state)

    def wait_running(self, owner: str, payload: str) -> None:
        """Until the worker has emitted all that it emits before it waits."""
        wait_for(lambda: (payload, IMAGE) in self.events)
        self.wait(owner, payload, "running")


@contextmanager
def opened(path: Path, worker: Worker | None = None, limits: JobLimits | None = None) -> Iterator[House]:
    house = House(path, worker, limits)
    house.scheduler.start()
    try:
        yield house
    finally:
        house.scheduler.close()
        house.store.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.sqlite"


@pytest.fixture
def house(path: Path) -> Iterator[House]:
    with opened(path) as made:
        yield made


def test_job_runs_and_its_events_are_recorded(house: House) -> None:
    (job_id,) = house.submit("ann", "first")
    house.wait_running("ann", "first")
    (running,) = house.scheduler.jobs("ann")
    assert (running.stage, running.done, running.total, running.remaining_s) == ("render", 3, 25, 2.5)
    assert running.messages == ("a message",) and running.started_s and running.attempts == 1
    house.worker.free = True
    house.wait("ann", "first", "done")
    ended = house.scheduler.job("ann", job_id)
    assert json.loads(ended.result or "") == {"video": "first"} and ended.messages == ("a message", "as asked")
    assert ended.ended_s and ended.ended_s >= running.started_s
    assert house.ended == [ended], "a handler gets the record as it is stored"
    assert [event for _, event in house.events] == [
        *(events.Stage("render"), events.Message("a message"), events.Step("render", 3, 25, 2.5), IMAGE)
    ]


def test_errors_become_sentences_of_the_record(house: House) -> None:
    house.worker.free = True
    house.submit("ann", "broken", "bug", "unreadable", "fine")
    house.wait("ann", "fine", "done")
    errors = {record.payload: (record.state, record.error) for record in house.scheduler.jobs("ann")}
    assert errors == {
        "broken": ("failed", "no such clip"),
        "bug": ("failed", UNEXPECTED_ERROR),
        "unreadable": ("failed", "no such photo"),
        "fine": ("done", None),
    }
    (broken,) = [record for record in house.scheduler.jobs("ann") if record.payload == "broken"]
    assert broken.messages == ("a message", "seen before")


def test_error_of_handler_stops_no_job(path: Path) -> None:
    def bug(*_: object) -> None:
        raise ZeroDivisionError

    worker = StoppingWorker()
    worker.free = True
    store = JobStore(path)
    encoders = {"json": lambda result: "{}", "bug": bug}
    for encoder, state in (("json", "done"), ("bug", "failed")):
        handlers = JobHandlers(make_job, encoders[encoder], bug, bug)
        scheduler = JobScheduler(store, JobQueue([worker]), handlers)
        scheduler.start()
        job_id = scheduler.submit("ann", "first", "{}").id
        wait_for(lambda scheduler=scheduler, job_id=job_id: scheduler.job("ann", job_id).ended)
        assert scheduler.job("ann", job_id).state == state
        scheduler.close()
    store.close()


def test_pending_jobs_know_their_place_in_the_fair_order(house: House) -> None:
    house.submit("ann", "a1")
    house.wait_running("ann", "a1")
    house.submit("ann", "a2", "a3")
    house.submit("ben", "b1", "b2")
    places = {record.payload: record.place for owner in ("ann", "ben") for record in house.scheduler.jobs(owner)}
    assert places == {"a1": None, "b1": 0, "a2": 1, "b2": 2, "a3": 3}
    house.worker.free = True
    house.wait("ann", "a3", "done")
    assert house.worker.begun == ["a1", "b1", "a2", "b2", "a3"]


def test_owner_reorders_his_own_jobs(house: House) -> None:
    house.submit("ann", "running")
    house.wait_running("ann", "running")
    one, two, three = house.submit("ann", "one", "two", "three")
    front = house.scheduler.submit("ann", "front", "{}", front=True)

    def line() -> list[str]:
        return [record.payload for record in house.scheduler.jobs("ann") if record.state == "pending"]

    assert line() == ["front", "one", "two", "three"]
    house.scheduler.move("ann", three, one)
    assert line() == ["front", "three", "one", "two"]
    house.scheduler.move("ann", front.id, None)
    assert line() == ["three", "one", "two", "front"]
    house.scheduler.move("ann", two, two)
    assert line() == ["three", "one", "two", "front"]
    running = house.scheduler.jobs("ann")[0].id
    for arguments in ((running, one), (one, running)):
        with pytest.raises(RequestError, match=f"the job {running} is running: only a pending job"):
            house.scheduler.move("ann", *arguments)
    house.worker.free = True
    house.wait("ann", "front", "done")
    assert house.worker.begun == ["running", "three", "one", "two", "front"]


def test_cancel_ends_pending_job_at_once_and_running_one_by_its_token(house: House) -> None:
    running, pending, last = house.submit("ann", "running", "pending", "last")
    house.wait_running("ann", "running")
    house.scheduler.cancel("ann", pending)
    assert house.states("ann")["pending"] == "cancelled"
    house.scheduler.cancel("ann", running)
    house.wait("ann", "running", "cancelled")
    house.wait_running("ann", "last")
    assert [record.payload for record in house.ended] == ["running"]
    house.worker.free = True
    house.wait("ann", "last", "done")
    house.scheduler.cancel("ann", last)
    assert house.states("ann") == {"running": "cancelled", "pending": "cancelled", "last": "done"}
    assert house.worker.begun == ["running", "last"]


def test_cancelled_job_that_is_done_with_a_part_keeps_its_result(house: House) -> None:
    (job_id,) = house.submit("ann", "partial")
    house.wait_running("ann", "partial")
    house.scheduler.cancel("ann", job_id)
    house.wait("ann", "partial", "done")
    assert house.scheduler.job("ann", job_id).result and not house.scheduler.job("ann", job_id).stopping


def test_retry_keeps_the_job_and_duplicate_makes_another(house: House) -> None:
    house.worker.free = True
    (broken,) = house.submit("ann", "broken")
    house.wait("ann", "broken", "failed")
    house.worker.free = False
    (blocking,) = house.submit("ann", "blocking")
    house.wait_running("ann", "blocking")
    again = house.scheduler.retry("ann", broken)
    assert (again.id, again.state, again.attempts, again.error, again.messages) == (broken, "pending", 0, None, ())
    with pytest.raises(RequestError, match="only one that failed or was cancelled"):
        house.scheduler.retry("ann", broken)
    copy = house.scheduler.duplicate("ann", blocking)
    assert copy.id != blocking and (copy.payload, copy.label, copy.state) == ("blocking", "{}", "pending")
    house.worker.free = True
    wait_for(lambda: house.scheduler.job("ann", copy.id).state == "done")
    assert house.worker.begun == ["broken", "blocking", "broken", "blocking"]


def test_deleted_job_is_gone_and_stops(house: House) -> None:
    running, pending = house.submit("ann", "running", "pending")
    house.wait_running("ann", "running")
    assert house.scheduler.delete("ann", pending).payload == "pending"
    assert house.scheduler.delete("ann", running).state == "running"
    assert house.scheduler.jobs("ann") == []
    wait_for(lambda: house.ended)
    assert [(record.payload, record.state) for record in house.ended] == [("running", "cancelled")]
    assert house.worker.begun == ["running"] and house.scheduler.jobs("ann") == []


def test_job_deleted_while_its_end_is_handled_counts_as_cancelled(house: House) -> None:
    def delete(record: JobRecord) -> None:
        if record.state == "done":
            house.scheduler.delete("ann", record.id)

    house.on_end = delete
    house.submit("ann", "first")
    house.worker.free = True
    wait_for(lambda: len(house.ended) == 2)
    assert [record.state for record in house.ended] == ["done", "cancelled"] and house.scheduler.jobs("ann") == []


ACTIONS: dict[str, Callable[[JobScheduler, str], object]] = {
    "job": lambda scheduler, job_id: scheduler.job("ben", job_id),
    "cancel": lambda scheduler, job_id: scheduler.cancel("ben", job_id),
    "move": lambda scheduler, job_id: scheduler.move("ben", job_id, None),
    "retry": lambda scheduler, job_id: scheduler.retry("ben", job_id),
    "duplicate": lambda scheduler, job_id: scheduler.duplicate("ben", job_id),
    "delete": lambda scheduler, job_id: scheduler.delete("ben", job_id),
}


@pytest.mark.parametrize("action", [*ACTIONS, "move before"])
def test_job_of_another_owner_is_refused_like_an_unknown_one(house: House, action: str) -> None:
    running, pending = house.submit("ann", "running", "pending")
    house.wait_running("ann", "running")
    (own,) = house.submit("ben", "own")
    before = house.store.in_state("pending", "running")
    act = ACTIONS.get(action, lambda scheduler, job_id: scheduler.move("ben", own, job_id))
    texts = set()
    for job_id in (running, pending, "0" * 32, "", "'; DROP TABLE jobs"):
        with pytest.raises(RequestError) as caught:
            act(house.scheduler, job_id)
        texts.add(str(caught.value).replace(f" {job_id}:", " ID:"))
    assert texts == {"there is no job ID: it was deleted, or it has expired"}
    assert house.store.in_state("pending", "running") == before
    assert [record.payload for record in house.scheduler.jobs("ben")] == ["own"]


def test_pending_jobs_are_limited_for_an_owner_and_in_total(path: Path) -> None:
    with opened(path, limits=JobLimits(per_owner=2, total=3)) as house:
        house.submit("ann", "running")
        house.wait_running("ann", "running")
        (one, _) = house.submit("ann", "one", "two")
        with pytest.raises(RequestError, match="you have 2 of 2 pending jobs"):
            house.submit("ann", "three")
        with pytest.raises(RequestError, match="you have 2 of 2 pending jobs"):
            house.scheduler.duplicate("ann", one)
        house.submit("ben", "one")
        with pytest.raises(RequestError, match="the server has 3 of 3 pending jobs"):
            house.submit("cat", "one")
        house.scheduler.cancel("ann", one)
        house.submit("cat", "one")
        with pytest.raises(RequestError, match="the server has 3 of 3 pending jobs"):
            house.scheduler.retry("ann", one)


def test_as_many_jobs_run_as_workers_are_present(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_runner, "REFRESH_INTERVAL_S", 0.01)
    monkeypatch.setattr("fantasyportrait.workers.job_queue.REFRESH_INTERVAL_S", 0.01)
    workers: list[Worker] = [StoppingWorker("a"), StoppingWorker("b")]
    store = JobStore(path)
    queue = JobQueue(refresh=lambda: list(workers))
    scheduler = JobScheduler(store, queue, JobHandlers(make_job, lambda result: "{}"))
    scheduler.start()
    for number in range(4):
        scheduler.submit("ann", f"{number}", "{}")

    def running() -> list[str]:
        return [record.payload for record in scheduler.jobs("ann") if record.state == "running"]

    wait_for(lambda: len(running()) == 2)
    workers.append(StoppingWorker("c"))
    wait_for(lambda: running() == ["0", "1", "2"])
    assert queue.worker_count() == 3
    scheduler.close()
    store.close()


def test_job_of_a_busy_worker_is_queued(path: Path) -> None:
    class Busy(StoppingWorker):
        def events(self, job: Job, cancel: CancelToken) -> Generator[Event, None, None]:
            raise WorkerBusy
            yield

    with opened(path, Busy()) as house:
        (job_id,) = house.submit("ann", "first")
        wait_for(lambda: house.scheduler.job("ann", job_id).stage == QUEUED)
        house.scheduler.cancel("ann", job_id)
        house.wait("ann", "first", "cancelled")


def test_fast_steps_are_not_all_stored(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stepping(StoppingWorker):
        def events(self, job: Job, cancel: CancelToken) -> Generator[Event, None, None]:
            yield events.Stage("render")
            for step in range(101):
                yield events.Step("render", step, 100, None)
            yield done(job.arguments)

    monkeypatch.setattr(job_runner, "STEP_INTERVAL_S", WAIT_S)
    saved: list[int] = []
    save = JobStore.save

    def recorded(self: JobStore, *records: JobRecord) -> None:
        saved.extend(record.done for record in records if record.state == "running" and record.total)
        save(self, *records)

    monkeypatch.setattr(JobStore, "save", recorded)
    with opened(path, Stepping()) as house:
        house.submit("ann", "first")
        house.wait("ann", "first", "done")
        assert saved == [0, 100]
        assert len(house.events) == 102, "the handler gets all"


def test_full_disk_at_the_end_of_a_job_frees_its_worker(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    save = JobStore.save

    def full(self: JobStore, *records: JobRecord) -> None:
        if any(record.state == "done" and record.payload == "first" for record in records):
            raise OutputError("the disk is full")
        save(self, *records)

    monkeypatch.setattr(JobStore, "save", full)
    house.worker.free = True
    first, _ = house.submit("ann", "first", "second")
    house.wait("ann", "second", "done")
    assert house.states("ann")["first"] == "running"
    house.scheduler.cancel("ann", first)
    assert house.states("ann")["first"] == "cancelled"


def test_closed_scheduler_leaves_jobs_for_the_next_one(path: Path) -> None:
    for _ in range(3):
        with opened(path) as house:
            if not house.states("ann"):
                house.submit("ann", "running", "pending")
            house.wait_running("ann", "running")
        assert house.ended == [] and house.worker.begun == ["running"]
    with opened(path) as house:
        house.worker.free = True
        house.wait("ann", "pending", "done")
        assert house.worker.begun == ["running", "pending"], "a clean shutdown uses no attempt"
        assert [record.attempts for record in house.scheduler.jobs("ann")] == [1, 1]


def test_job_done_or_cancelled_during_close_does_not_run_again(path: Path) -> None:
    with opened(path) as house:
        house.submit("ann", "partial")
        house.wait_running("ann", "partial")
    with opened(path) as house:
        assert house.states("ann") == {"partial": "done"} and house.worker.begun == []
        (job_id,) = house.submit("ann", "cancelled")
        house.wait_running("ann", "cancelled")
        house.store.save(replace(house.scheduler.job("ann", job_id), stopping=True))
    with opened(path) as house:
        assert house.states("ann")["cancelled"] == "cancelled" and house.worker.begun == []


KILLED = """
import sys, time
from contextlib import nullcontext
from pathlib import Path
from fantasyportrait.schema import events
from fantasyportrait.workers.job import Job
from fantasyportrait.workers.job_queue import JobQueue
from fantasyportrait.workers.job_runner import JobHandlers
from fantasyportrait.workers.job_scheduler import JobScheduler
from fantasyportrait.workers.job_store import JobStore

class Worker:
    name = "a"
    def events(self, job, cancel):
        yield events.Stage("render")
        print(job.arguments, flush=True)
        time.sleep(600)

def make_job(record):
    return Job("nowhere:none", record.payload, (), {"result": Path("o")}, lambda: nullcontext(Path()))

scheduler = JobScheduler(JobStore(Path(sys.argv[1])), JobQueue([Worker()]), JobHandlers(make_job, str))
scheduler.start()
for name in sys.argv[2:]:
    scheduler.submit("ann", name, "{}")
time.sleep(600)
"""


def run_and_kill(path: Path, *payloads: str) -> str:
    """Submit jobs in another process and kill it in the middle of one; returns the payload of that one."""
    command = [sys.executable, "-c", KILLED, str(path), *payloads]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        return process.stdout.readline().strip()
    finally:
        process.kill()
        assert process.wait(WAIT_S) == (-signal.SIGKILL if sys.platform != "win32" else 1)


def test_job_of_a_killed_process_runs_once_more_and_first(path: Path) -> None:
    assert run_and_kill(path, "first", "second") == "first"
    with opened(path) as house:
        house.worker.free = True
        house.wait("ann", "second", "done")
        assert house.worker.begun == ["first", "second"]
        assert {record.payload: record.attempts for record in house.scheduler.jobs("ann")} == {"first": 2, "second": 1}


def test_job_that_two_processes_died_with_fails(path: Path) -> None:
    assert run_and_kill(path, "first", "second") == "first"
    assert run_and_kill(path) == "first"
    with opened(path) as house:
        house.worker.free = True
        house.wait("ann", "second", "done")
        assert house.worker.begun == ["second"]
        (failed,) = [record for record in house.scheduler.jobs("ann") if record.payload == "first"]
        assert (failed.state, failed.error) == ("failed", INTERRUPTED_TWICE)
        assert [record.payload for record in house.ended] == ["first", "second"]
        house.scheduler.retry("ann", failed.id)
        house.wait("ann", "first", "done")


def test_interrupted_jobs_of_an_owner_keep_their_order(path: Path) -> None:
    store = JobStore(path)
    for number in range(3):
        running = JobRecord(f"{number:032x}", "ann", f"{number}", "{}", 1.0, "running", started_s=float(number))
        store.add(running)
    store.add(JobRecord("f" * 32, "ann", "pending", "{}", 2.0, rank=-7))
    store.add(JobRecord("e" * 32, "ann", "stopped", "{}", 2.0, "running", stopping=True, started_s=9.0))
    store.close()
    with opened(path) as house:
        house.worker.free = True
        house.wait("ann", "pending", "done")
        assert house.worker.begun == ["0", "1", "2", "pending"] and house.states("ann")["stopped"] == "cancelled"


def test_order_of_owners_is_remembered_over_a_restart(path: Path) -> None:
    with opened(path) as house:
        house.worker.free = True
        for owner in ("ben", "ann"):
            house.submit(owner, owner)
            house.wait(owner, owner, "done")
        house.worker.free = False
        house.submit("cat", "running")
        house.wait_running("cat", "running")
        house.submit("ann", "a")
        house.submit("ben", "b")
    with opened(path) as house:
        house.worker.free = True
        house.wait("ann", "a", "done")
        assert house.worker.begun == ["running", "b", "a"], "an interrupted job is next, as it was before"


def test_jobs_of_absent_owners_are_cancelled_after_their_grace(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [time.monotonic()]
    monkeypatch.setattr(job_scheduler, "time", SimpleNamespace(monotonic=lambda: now_s[0], time=time.time))

    def grace_s(record: JobRecord) -> float | None:
        return None if record.label == "wan" else 600.0

    house.submit("ann", "running", "pending")
    house.wait_running("ann", "running")
    house.scheduler.submit("ann", "long", "wan")
    house.submit("ben", "here")
    now_s[0] += 400
    house.scheduler.touch("ben")
    assert house.scheduler.abandon(grace_s) == []
    now_s[0] += 300
    left = house.scheduler.abandon(grace_s)
    assert sorted(record.payload for record in left) == ["pending", "running"]
    house.wait("ann", "running", "cancelled")
    (pending,) = [record for record in house.scheduler.jobs("ann") if record.payload == "pending"]
    assert pending.error == "cancelled, as its page was closed for 10 minutes: try it again"
    assert [record.error for record in house.ended] == [pending.error]
    assert house.states("ann")["long"] in ("pending", "running") and house.states("ben")["here"] != "cancelled"


def test_owner_counts_as_seen_when_the_process_starts(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(path) as house:
        house.submit("ann", "running")
        house.wait_running("ann", "running")
    now_s = [time.monotonic()]
    monkeypatch.setattr(job_scheduler, "time", SimpleNamespace(monotonic=lambda: now_s[0], time=time.time))
    with opened(path) as house:
        now_s[0] += 599
        assert house.scheduler.abandon(lambda record: 600.0) == []
        now_s[0] += 2
        assert [record.payload for record in house.scheduler.abandon(lambda record: 600.0)] == ["running"]


def test_jobs_expire_and_an_owner_is_deleted_whole(house: House) -> None:
    house.worker.free = True
    for owner in ("ann", "ben"):
        house.submit(owner, "old")
        house.wait(owner, "old", "done")
    limit_s = time.time() + 1.0
    old = house.scheduler.jobs("ben")[0]
    house.store.save(replace(old, ended_s=limit_s + 1.0))
    assert [record.owner for record in house.scheduler.delete_ended(limit_s)] == ["ann"]
    house.worker.free = False
    house.submit("ben", "running", "pending")
    house.wait_running("ben", "running")
    assert house.scheduler.delete_ended(time.time() + WAIT_S) and set(house.states("ben")) == {"running", "pending"}
    assert sorted(record.payload for record in house.scheduler.delete_owner("ben")) == ["pending", "running"]
    assert house.scheduler.jobs("ben") == []
    wait_for(lambda: house.ended[-1].payload == "running")
    assert house.ended[-1].state == "cancelled" and house.worker.begun == ["old", "old", "running"]


OWNERS = ["ann", "ben", "cat"]
STEPS = st.lists(st.tuples(st.sampled_from(["submit", "submit", "run"]), st.sampled_from(OWNERS)), max_size=20)


@settings(max_examples=20)
@given(STEPS)
def test_no_owner_waits_for_two_jobs_of_another_in_a_row(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str]]
) -> None:
    """Jobs come in any order while others run; who waits is looked at before each start."""
    with opened(tmp_path_factory.mktemp("jobs") / "jobs.sqlite", limits=JobLimits(100, 100)) as house:
        served: list[tuple[str, set[str]]] = []
        count = 0

        def step(waiting: set[str]) -> None:
            """Let the running job end, and note whose comes next."""
            begun = len(house.worker.begun)
            house.worker.released.add(house.worker.begun[-1])
            if waiting:
                wait_for(lambda: len(house.worker.begun) > begun)
                served.append((house.worker.begun[-1].split()[0], waiting))
            else:
                wait_for(lambda: not house.store.in_state("running"))

        for what, owner in [*steps, *[("run", "")] * len(steps)]:
            if what == "submit":
                count += 1
                idle = not house.store.in_state("pending", "running")
                house.submit(owner, f"{owner} {count}")
                if idle:
                    wait_for(lambda: len(house.worker.begun) == len(served) + 1)
                    served.append((owner, {owner}))  # alone
            elif house.store.in_state("running"):
                step({record.owner for record in house.store.in_state("pending")})
        assert len(served) == count == len(house.worker.begun)
        for (first, waited_first), (second, waited) in pairwise(served):
            if first == second:
                assert not (waited & waited_first) - {first}


def test_two_threads_may_submit_and_cancel_at_once(house: House) -> None:
    house.worker.free = True
    errors: list[BaseException] = []

    def work(owner: str) -> None:
        try:
            for number in range(15):
                job_id = house.scheduler.submit(owner, f"{owner} {number}", "{}").id
                if number % 3 == 0:
                    house.scheduler.cancel(owner, job_id)
                wait_for(lambda job_id=job_id: house.scheduler.job(owner, job_id).ended)
                if number % 5 == 0:
                    house.scheduler.delete(owner, job_id)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(owner,)) for owner in OWNERS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    assert not errors
    for owner in OWNERS:
        assert len(house.scheduler.jobs(owner)) == 12 and all(record.ended for record in house.scheduler.jobs(owner))
