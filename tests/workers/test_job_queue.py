"""The job queue with fake workers: order, lost workers, cancelling."""

import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from fantasyportrait.cli.workers import MONITOR_INTERVAL_S
from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import Cancelled, MediaError
from fantasyportrait.schema import events
from fantasyportrait.schema.events import Event
from fantasyportrait.workers import job_queue
from fantasyportrait.workers.job import Job
from fantasyportrait.workers.job_queue import WORKER_TIMEOUT_S, JobQueue, Worker, WorkerBusy, WorkerLost
from fantasyportrait.workers.ray_cluster import CALL_TIMEOUT_S
from fantasyportrait.workers.ray_worker_pool import START_TIMEOUT_S

WAIT_S = 60.0


def job(name: str = "out") -> Job:
    """A job with one output, whose function no worker here calls."""
    return Job("nowhere:none", "", (), {"result": Path(name)}, lambda: nullcontext(Path(name)))


def done(output: Path) -> events.Done:
    return events.Done(events.Result(output, None, output, (), 1, 0.04))


class FakeWorker:
    """A worker that records its jobs, and calls `act` in between."""

    def __init__(self, name: str = "a", act: Callable[[Path, CancelToken], None] = lambda output, cancel: None) -> None:
        self.name, self._act = name, act
        self.begun: list[str] = []
        self.ended: list[str] = []

    def events(self, job: Job, cancel: CancelToken) -> Generator[Event, None, None]:
        """One stage, then Done."""
        output = job.outputs["result"]
        self.begun.append(output.name)
        yield events.Stage("portrait")
        self._act(output, cancel)
        self.ended.append(output.name)
        yield done(output)


def losing(output: Path, cancel: CancelToken) -> None:
    raise WorkerLost("its process ended")


def run(queue: JobQueue, name: str = "out", cancel: CancelToken | None = None) -> list[Event]:
    return list(queue.events(job(name), cancel))


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def consume(event_stream: Generator[Event, None, None]) -> threading.Thread:
    """A thread that consumes all events."""
    thread = threading.Thread(target=list, args=(event_stream,), daemon=True)
    thread.start()
    return thread


def test_queue_runs_jobs_first_in_first_out() -> None:
    go = threading.Event()
    worker = FakeWorker(act=lambda output, cancel: go.wait(WAIT_S) and None)
    queue = JobQueue([worker])
    threads, told = [], []
    for number in range(6):
        event_stream = queue.events(job(str(number)))
        told.append(next(event_stream))
        threads.append(consume(event_stream))
    assert told == [events.Stage("portrait"), *(events.Queued(position) for position in range(5))]
    go.set()
    for thread in threads:
        thread.join(WAIT_S)
    assert worker.ended == list("012345")


def test_queue_retries_job_of_lost_worker() -> None:
    first, second = FakeWorker("a", losing), FakeWorker("b")
    queue = JobQueue([first, second])
    assert run(queue) == [
        events.Stage("portrait"),
        events.Message("the worker a was lost (its process ended): the job restarts on another worker", keep=False),
        events.Stage("portrait"),
        done(Path("out")),
    ]
    assert (first.begun, second.ended) == (["out"], ["out"])
    run(queue)
    assert len(first.begun) == 1, "a lost worker gets no more jobs"


def test_queue_fails_job_after_second_loss() -> None:
    third = FakeWorker("c")
    queue = JobQueue([FakeWorker("a", losing), FakeWorker("b", losing), third])
    last = run(queue)[-1]
    assert isinstance(last, events.Failed) and "two workers were lost" in str(last.error)
    assert not third.begun and isinstance(run(queue)[-1], events.Done)
    alone = run(JobQueue([FakeWorker("a", losing)]))
    assert isinstance(alone[-1], events.Failed) and "fantasyportrait workers" in str(alone[-1].error)


def test_worker_lost_before_start_uses_no_retry() -> None:
    class Dead(FakeWorker):
        def events(self, job: Job, cancel: CancelToken) -> Generator[Event, None, None]:
            raise WorkerLost("its process ended", started=False)
            yield

    queue = JobQueue([Dead("a"), Dead("b"), Dead("c"), FakeWorker("d")])
    assert run(queue)[-1] == done(Path("out"))


def test_queued_job_keeps_position_while_worker_is_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_queue, "BUSY_BACKOFF_S", 0.1)
    monkeypatch.setattr(job_queue, "POLL_INTERVAL_S", 0.01)
    refused: list[float] = []

    class Shared(FakeWorker):
        def events(self, job: Job, cancel: CancelToken) -> Generator[Event, None, None]:
            if len(refused) < 4:
                refused.append(time.monotonic())
                raise WorkerBusy
            return (yield from super().events(job, cancel))

    worker = Shared()
    queue = JobQueue([worker])
    first, second = (queue.events(job(name)) for name in ("first", "second"))
    assert (next(first), next(second)) == (events.Queued(0), events.Queued(1))
    threads = [consume(second), consume(first)]
    for thread in threads:
        thread.join(WAIT_S)
    assert worker.ended == ["first", "second"]
    assert all(later - earlier >= 0.1 for earlier, later in itertools.pairwise(refused))


def test_refused_job_takes_another_worker_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_queue, "BUSY_BACKOFF_S", 10 * WAIT_S)

    def busy(output: Path, cancel: CancelToken) -> None:
        raise WorkerBusy

    refusing, free = FakeWorker("a", busy), FakeWorker("b")
    queue = JobQueue([refusing, free])
    told: list[Event] = []
    thread = threading.Thread(target=lambda: told.extend(run(queue)), daemon=True)
    thread.start()
    thread.join(WAIT_S)
    assert told[-1] == done(Path("out"))
    token = CancelToken()
    only = JobQueue([refusing]).events(job(), token)
    next(only)
    token.cancel()
    assert list(only)[-1] == events.Cancelled()


def test_queued_job_waits_for_replaced_worker() -> None:
    assert WORKER_TIMEOUT_S >= CALL_TIMEOUT_S + START_TIMEOUT_S + MONITOR_INTERVAL_S


def test_pool_adds_removes_and_replaces_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_queue, "REFRESH_INTERVAL_S", 0.02)
    monkeypatch.setattr(job_queue, "POLL_INTERVAL_S", 0.01)
    there: list[Worker] = []
    queue = JobQueue(refresh=lambda: list(there), worker_timeout_s=WAIT_S)
    event_stream = queue.events(job())
    assert next(event_stream) == events.Queued(0)
    lost = FakeWorker("a", losing)
    there.append(lost)
    late = threading.Timer(0.1, lambda: there.append(FakeWorker("b")))
    late.start()
    # The lost one is still listed, and does not come back.
    assert list(event_stream)[-1] == done(Path("out")) and lost.begun == ["out"]
    gone, new = FakeWorker("c"), FakeWorker("d")
    queue = JobQueue([gone], refresh=lambda: [new])
    assert isinstance(run(queue)[-1], events.Done) and (gone.begun, new.ended) == ([], ["out"])
    old, again = FakeWorker("e"), FakeWorker("e")
    queue = JobQueue([old], refresh=lambda: [again])
    assert isinstance(run(queue)[-1], events.Done) and not old.begun, "a worker is asked as it was listed last"
    last = run(JobQueue(refresh=lambda: [], worker_timeout_s=0.3))[-1]
    assert isinstance(last, events.Failed)


def test_lost_worker_is_used_again_after_cooldown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_queue, "REFRESH_INTERVAL_S", 0.01)
    monkeypatch.setattr(job_queue, "POLL_INTERVAL_S", 0.01)
    monkeypatch.setattr(job_queue, "LOST_COOLDOWN_S", 0.2)
    lost: list[float] = []

    def once(output: Path, cancel: CancelToken) -> None:
        if not lost:
            lost.append(time.monotonic())
            raise WorkerLost("the connection to it ended")

    worker = FakeWorker("a", once)
    assert run(JobQueue(refresh=lambda: [worker], worker_timeout_s=WAIT_S))[-1] == done(Path("out"))
    assert worker.begun == ["out"] * 2 and time.monotonic() - lost[0] >= 0.2


def test_cancelled_queued_job_blocks_no_other() -> None:
    go = threading.Event()
    worker = FakeWorker(act=lambda output, cancel: go.wait(WAIT_S) and None)
    queue = JobQueue([worker])
    running = queue.events(job("running"))
    next(running)
    thread = consume(running)
    tokens = [CancelToken(), CancelToken()]
    read, unread = (queue.events(job("waiting"), token) for token in tokens)
    assert (next(read), next(unread)) == (events.Queued(0), events.Queued(1))
    for token in tokens:
        token.cancel()
    assert list(read) == [events.Cancelled()]
    go.set()
    thread.join(WAIT_S)
    # The events of `unread` are not consumed, and it is still first in the queue.
    assert run(queue, "after")[-1] == done(Path("after")) and worker.ended == ["running", "after"]
    unread.close()


def test_cancel_and_errors_release_worker() -> None:
    def until_cancelled(output: Path, cancel: CancelToken) -> None:
        if output.name == "broken":
            raise MediaError("no such clip")
        wait_for(lambda: cancel.cancelled)
        cancel.check()

    queue = JobQueue([FakeWorker(act=until_cancelled)])
    for _ in range(2):
        token = CancelToken()
        event_stream = queue.events(job(), token)
        next(event_stream)
        token.cancel()
        assert list(event_stream) == [events.Cancelled()]
    assert isinstance(run(queue, "broken")[-1], events.Failed)


def test_cancelled_job_is_not_retried() -> None:
    token = CancelToken()

    def stuck(output: Path, cancel: CancelToken) -> None:
        cancel.cancel()
        raise WorkerLost("it does not stop")

    second = FakeWorker("b")
    assert run(JobQueue([FakeWorker("a", stuck), second]), cancel=token)[-1] == events.Cancelled()
    assert not second.begun


def test_closing_events_releases_worker() -> None:
    queue = JobQueue([FakeWorker()])
    event_stream = queue.events(job())
    next(event_stream)
    waiting = queue.events(job("waiting"))
    next(waiting)
    waiting.close()
    event_stream.close()
    assert run(queue) == [events.Stage("portrait"), done(Path("out"))]


def test_unexpected_worker_error_is_raised_and_worker_stays() -> None:
    def bug(output: Path, cancel: CancelToken) -> None:
        if output.name == "bug":
            raise ZeroDivisionError("inside")

    queue = JobQueue([FakeWorker(act=bug)])
    with pytest.raises(ZeroDivisionError):
        run(queue, "bug")
    assert isinstance(run(queue)[-1], events.Done)


@settings(max_examples=25)
@given(st.integers(1, 4), st.integers(1, 12), st.integers(0, 2**32))
def test_every_job_ends_exactly_once(workers: int, jobs: int, seed: int) -> None:
    dice = random.Random(seed)
    fates = {f"{number}": dice.choice(["fine", "fine", "lost", "cancelled", "closed"]) for number in range(jobs)}
    seen: Counter[str] = Counter()
    there: list[Worker] = []
    lock = threading.Lock()

    def act(output: Path, cancel: CancelToken) -> None:
        time.sleep(0.001 * dice.random())
        with lock:
            seen[output.name] += 1
            if fates[output.name] == "lost" and seen[output.name] <= dice.choice([1, 2]):
                there.append(FakeWorker(f"new {len(there)}", act))
                raise WorkerLost("its process ended")
        if fates[output.name] == "cancelled":
            raise Cancelled("stopped")

    there += [FakeWorker(f"{number}", act) for number in range(workers)]
    everybody = JobQueue(list(there), refresh=lambda: list(there))

    def fate(name: str) -> list[Event]:
        event_stream = everybody.events(job(name))
        if fates[name] == "closed":
            next(event_stream)
            event_stream.close()
            return []
        return list(event_stream)

    with ThreadPoolExecutor(jobs) as pool:
        told = dict(zip(fates, pool.map(fate, fates), strict=True))
    worked = Counter(name for worker in there if isinstance(worker, FakeWorker) for name in worker.ended)
    for name, happened in told.items():
        ends = [event for event in happened if isinstance(event, events.Done | events.Failed | events.Cancelled)]
        assert happened[-1:] == ends and len(ends) == (fates[name] != "closed")
        if ends and isinstance(ends[0], events.Done):
            assert worked[name] == 1 and fates[name] != "cancelled"
        elif ends:
            assert worked[name] == 0 and fates[name] in ("lost", "cancelled")
