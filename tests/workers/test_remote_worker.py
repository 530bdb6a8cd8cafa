"""A remote worker and its actor in one process, without Ray: what is sent, lost, refused and left behind."""

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import FantasyPortraitError, MediaError, OutputError, WeightsError
from fantasyportrait.media.request_files import load_request
from fantasyportrait.runtime.runtime_config import RuntimeConfig
from fantasyportrait.schema import events
from fantasyportrait.schema.cast import BuiltinSource, ClipSource, Role
from fantasyportrait.schema.events import Event
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.service.animate_job import FUNCTION, SETUP, animate_job
from fantasyportrait.service.animator import Animator
from fantasyportrait.workers import file_transfer, job_queue, remote_worker, worker_actor
from fantasyportrait.workers.file_transfer import is_output
from fantasyportrait.workers.job import Job, JobCall, WorkerSetup
from fantasyportrait.workers.job_queue import JobQueue, LocalWorker, Worker, WorkerBusy, WorkerLost
from fantasyportrait.workers.path_names import PathNames
from fantasyportrait.workers.remote_worker import RemoteWorker
from fantasyportrait.workers.worker_actor import UnknownJob, WorkerActor
from tests.conftest import Inputs

WAIT_S = 60.0
JOB, INPUT = "a" * 32, "b" * 32
MKDIR, OPEN = Path.mkdir, Path.open


@pytest.fixture
def actor(tmp_path: Path, models_dir: Path) -> Iterator[WorkerActor]:
    """A worker actor with a folder of its own beneath the test's."""
    (tmp_path / "root").mkdir()
    made = WorkerActor(SETUP, RuntimeConfig(), str(models_dir), root=str(tmp_path / "root"))
    yield made
    made.close()
    assert not any((tmp_path / "root").iterdir())


def worker(
    actor: WorkerActor, before: Callable[[str], None] = lambda method: None, stop_timeout_s: float = 300.0
) -> tuple[RemoteWorker, list[str]]:
    """A worker that calls the actor itself, after `before`; and a list that is filled when it is killed."""
    ended: list[str] = []

    def call(method: str, *arguments: object) -> Any:
        before(method)
        return getattr(actor, method)(*arguments)

    return RemoteWorker("w", call, lambda: ended.append("w"), stop_timeout_s), ended


def job(inputs: Inputs, output: Path, **changes: Any) -> Job:
    given = {"duration": 0.12, "max_side": 256, "side_by_side": False, **changes}
    return animate_job(AnimationRequest(inputs.photo, (Role(1, BuiltinSource("nod")),), **given), output)


def files(folder: Path) -> list[Path]:
    # Others remove folders meanwhile, at which `rglob` fails.
    return [Path(place, name) for place, _, names in os.walk(folder) for name in names]


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_files_are_sent_in_chunks_and_clip_once(
    actor: WorkerActor, inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (worker_actor, file_transfer):
        monkeypatch.setattr(module, "CHUNK_BYTES", 5000)
    asked: list[str] = []
    far, _ = worker(actor, asked.append)
    clip = inputs.nodding_pair
    cast = tuple(Role(face, ClipSource(clip, end_s=0.2, person=face)) for face in (1, 2))
    wanted = AnimationRequest(inputs.pair, cast, duration=0.12, max_side=320, sound=f"file:{inputs.sound}")
    last = list(far.events(animate_job(wanted, tmp_path / "far.mp4"), CancelToken()))[-1]
    assert isinstance(last, events.Done), last
    near = Animator().animate(wanted, tmp_path / "near.mp4")
    assert (tmp_path / "far.mp4").read_bytes() == near.video.read_bytes()
    assert load_request(last.result.request) == load_request(near.request) and last.result.messages == near.messages
    sent = sum(-(-path.stat().st_size // 5000) for path in (inputs.pair, clip, inputs.sound))
    assert asked.count("write_input") == sent and asked.count("read") >= near.video.stat().st_size // 5000
    assert not files(tmp_path / "root")


@pytest.mark.parametrize("at", ["heartbeat", "acquire", "write_input", "start", "poll", "read"])
def test_lost_worker_leaves_no_file_and_is_killed(actor: WorkerActor, inputs: Inputs, tmp_path: Path, at: str) -> None:
    asked: list[str] = []

    def before(method: str) -> None:
        asked.append(method)
        if method == at:
            raise WorkerLost("its process or machine ended")

    far, ended = worker(actor, before)
    (tmp_path / "out").mkdir()
    with pytest.raises(WorkerLost, match="ended") as loss:
        list(far.events(job(inputs, tmp_path / "out" / "o.mp4"), CancelToken()))
    started = at not in ("heartbeat", "acquire")
    assert (
        loss.value.started == started and ended == ["w"] * started and asked[-1] == at and not files(tmp_path / "out")
    )


def test_worker_lost_after_done_is_killed(actor: WorkerActor, inputs: Inputs, tmp_path: Path) -> None:
    def before(method: str) -> None:
        if method == "release":
            raise WorkerLost("its process or machine ended")

    far, ended = worker(actor, before)
    happened = list(JobQueue([far]).events(job(inputs, tmp_path / "o.mp4")))
    assert isinstance(happened[-1], events.Done) and happened.count(events.Stage("render")) == 1
    assert ended == ["w"] and (tmp_path / "o.mp4").is_file()


def test_worker_ignoring_cancel_is_killed(
    actor: WorkerActor, inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = CancelToken()

    def ignoring_cancel(self: Animator, wanted: AnimationRequest, output: Path, cancel: CancelToken) -> Iterator[Event]:
        wait_for(lambda: go.cancelled)
        yield events.Cancelled()

    monkeypatch.setattr(Animator, "events", ignoring_cancel)
    far, ended = worker(actor, stop_timeout_s=0.3)
    token = CancelToken()
    token.cancel()
    monkeypatch.setattr(token, "check", lambda: None)  # cancelled just after the files were sent
    with pytest.raises(WorkerLost, match="does not stop"):
        list(far.events(job(inputs, tmp_path / "o.mp4"), token))
    assert ended == ["w"] and not go.cancelled
    go.cancel()


def test_unexpected_remote_error_is_raised_locally(
    actor: WorkerActor, inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("inside")

    monkeypatch.setattr(Animator, "events", broken)
    far, ended = worker(actor)
    with pytest.raises(RuntimeError, match="ZeroDivisionError: inside"):
        list(far.events(job(inputs, tmp_path / "o.mp4"), CancelToken()))
    assert not ended and not files(tmp_path / "root")


def test_invalid_output_is_refused_before_sending(actor: WorkerActor, inputs: Inputs, tmp_path: Path) -> None:
    asked: list[str] = []
    far, _ = worker(actor, asked.append)
    with pytest.raises(OutputError, match="does not exist"):
        list(far.events(job(inputs, tmp_path / "no" / "o.mp4"), CancelToken()))
    assert asked == ["heartbeat", "acquire", "release"]


def test_two_queues_share_worker_one_job_at_a_time(
    actor: WorkerActor, inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (job_queue, remote_worker):
        monkeypatch.setattr(module, "POLL_INTERVAL_S", 0.01)
    monkeypatch.setattr(job_queue, "BUSY_BACKOFF_S", 0.02)
    alone = threading.Lock()

    def short(self: Animator, wanted: AnimationRequest, output: Path, cancel: CancelToken) -> Iterator[Event]:
        assert alone.acquire(blocking=False), "two jobs at once"
        time.sleep(0.02)
        alone.release()
        yield events.Failed(FantasyPortraitError("the end"))

    monkeypatch.setattr(Animator, "events", short)

    def three_jobs(_: int) -> list[str]:
        queue = JobQueue([worker(actor)[0]])
        return [str(list(queue.events(job(inputs, tmp_path / "o.mp4")))[-1]) for _ in range(3)]

    with ThreadPoolExecutor(2) as pool:
        ends = [end for told in pool.map(three_jobs, range(2)) for end in told]
    assert len(ends) == 6 and all(end.startswith("Failed(") and "the end" in end for end in ends)


def test_refused_client_acquires_before_previous_client(actor: WorkerActor) -> None:
    """A client with many jobs acquires again at once after each of them."""
    for _ in range(2):
        actor.acquire(JOB)
        assert actor.release(JOB)
    actor.acquire(JOB)
    with pytest.raises(WorkerBusy):
        actor.acquire("b" * 32)
    assert actor.release(JOB)
    with pytest.raises(WorkerBusy):
        actor.acquire("c" * 32)
    actor.acquire("b" * 32)


def test_busy_worker_receives_no_files(actor: WorkerActor, inputs: Inputs, tmp_path: Path) -> None:
    asked: list[str] = []
    far, ended = worker(actor, asked.append)
    actor.acquire(JOB)
    with pytest.raises(WorkerBusy):
        list(far.events(job(inputs, tmp_path / "o.mp4"), CancelToken()))
    assert asked == ["heartbeat", "acquire"] and not ended


@pytest.mark.parametrize("at", ["write_input", "start", "read"])
def test_worker_reports_full_disk(
    actor: WorkerActor, inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def before(method: str) -> None:
        # Only while the worker does this: the same disk is ours here.
        broken = method == at
        monkeypatch.setattr(Path, "mkdir", full if broken and at != "read" else MKDIR)
        monkeypatch.setattr(Path, "open", full if broken and at == "read" else OPEN)

    far, ended = worker(actor, before)
    with pytest.raises(OutputError, match="a worker's disk fails .No space left on device.: free some space there"):
        list(far.events(job(inputs, tmp_path / "o.mp4"), CancelToken()))
    assert not ended and not files(tmp_path / "root")


def test_jobs_time_out_despite_disk_errors(
    inputs: Inputs, tmp_path: Path, models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tended: list[object] = []

    def fails(path: object) -> None:
        tended.append(path)
        raise OSError("the disk fails")

    monkeypatch.setattr(os, "utime", fails)
    actor = WorkerActor(SETUP, RuntimeConfig(), str(models_dir), root=str(tmp_path), job_timeout_s=0.05)
    wait_for(lambda: bool(tended))
    actor.acquire(JOB)
    actor.write_input(JOB, "b" * 32, b"x")
    wait_for(lambda: not files(tmp_path))
    actor.close()


def test_unpolled_job_stops(inputs: Inputs, tmp_path: Path, models_dir: Path) -> None:
    """An unpolled job stops, and another worker removes the folder of a killed one."""
    root = tmp_path / "root"
    left, fresh = root / f"{worker_actor.PREFIX}left", root / f"{worker_actor.PREFIX}fresh"
    (left / JOB).mkdir(parents=True)
    os.utime(left, (0, 0))
    fresh.mkdir()
    actor = WorkerActor(SETUP, RuntimeConfig(), str(models_dir), root=str(root), job_timeout_s=0.4, folder_timeout_s=60)
    far, ended = worker(actor)
    event_stream = far.events(job(inputs, tmp_path / "o.mp4", duration=600), CancelToken())
    assert next(event_stream) == events.Stage("portrait")
    wait_for(lambda: not files(root) and not left.exists())
    with pytest.raises(FantasyPortraitError, match="its events were not polled"):
        list(event_stream)
    assert not ended and fresh.is_dir() and not (tmp_path / "o.mp4").exists()
    actor.close()


def test_wire_names_stay_in_job_folder(actor: WorkerActor, inputs: Inputs, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not a job id"):
        actor.acquire("../up")
    actor.acquire(JOB)
    for name in ("../b", f"{INPUT}/c", "/etc/hostname"):
        with pytest.raises(ValueError, match="not a name of an input"):
            actor.write_input(JOB, name, b"x")
    actor.write_input(JOB, INPUT, b"x")
    for name in ("../o.mp4", "/o.mp4", "o.mp4/x", "..", ""):
        with pytest.raises(ValueError, match="not names of output"):
            actor.start(JOB, FUNCTION, "", {"p.png": INPUT}, {name: "/o.mp4"})
    for name in ("../b", "/etc/hostname"):
        with pytest.raises(ValueError, match="not names of input"):
            actor.start(JOB, FUNCTION, "", {"p.png": name}, {"o.mp4": "/o.mp4"})
    actor.start(JOB, FUNCTION, "", {"p.png": INPUT}, {"o.mp4": "/o.mp4"})
    with pytest.raises(ValueError, match="not a name of an output"):
        actor.read(JOB, f"../in/{INPUT}", 0)
    for ask in (lambda: actor.poll("c" * 32), lambda: actor.write_input("../up", INPUT, b"x")):
        with pytest.raises(UnknownJob):
            ask()
    outputs = job(inputs, tmp_path / "o.mp4").outputs
    for name in ("../o.mp4", "result.sh", "result/frame_1.png", "/result.mp4", "result.mp4/../x", "result.mp4/"):
        with pytest.raises(ValueError, match="not one of result.mp4"):
            file_transfer.fetch(tmp_path, [name], outputs, lambda name, offset: b"", CancelToken())
    assert is_output("result/frame_000001.png", ["result"]) and not is_output("result/a/b.png", ["result"])
    assert not (tmp_path / "o.mp4").exists()


def test_messages_use_client_paths() -> None:
    names = PathNames(
        {
            "/srv/in/1.png": "/srv/models/me.png",
            "1.png": "me.png",
            "/srv/out/result.mp4": "o.mp4",
            "/srv/out/result.mp4.side-by-side.mp4": "long~1f.side-by-side.mp4",
            "/srv/models": "models",
        }
    )
    said = "/srv/in/1.png and 1.png; /srv/out/result.mp4; /srv/models/wan is missing"
    here = "/srv/models/me.png and me.png; o.mp4; models/wan is missing"
    out, side = Path("/srv/out/result.mp4"), Path("/srv/out/result.mp4.side-by-side.mp4")
    done = names.event(events.Done(events.Result(out, side, Path("/other"), (said,), 1, 0.04)))
    assert done.result == events.Result(
        Path("o.mp4"), Path("long~1f.side-by-side.mp4"), Path("/other"), (here,), 1, 0.04
    )
    error = WeightsError(said)
    error.messages = (said,)
    failed = names.event(events.Failed(error))
    assert (str(failed.error), failed.error.messages, type(failed.error)) == (here, (here,), WeightsError)


def count_letters(state: object, call: JobCall) -> Iterator[Event]:
    """A job function: writes how many letters its input has, or raises for the argument "fail"."""
    (path,) = call.inputs.values()
    if call.arguments == "fail":
        raise MediaError(f"{path} has no letters")
    if call.arguments == "cancel":
        call.cancel.cancel()
        call.cancel.check()
    yield events.Stage("finish")
    call.output.write_text(f"{state}: {len(path.read_text(encoding='utf-8'))}", encoding="utf-8")
    if call.arguments != "no end":
        yield events.Done(events.Result(call.output, None, call.output, (str(path),), 1, 0.0))


@contextmanager
def letters_setup(*_: object) -> Iterator[WorkerSetup]:
    yield WorkerSetup("letters")


def test_named_function_runs_as_job(tmp_path: Path) -> None:
    text, place = tmp_path / "text.txt", tmp_path / "place"
    text.write_text("abc", encoding="utf-8")
    place.mkdir()
    actor = WorkerActor(f"{__name__}:letters_setup", RuntimeConfig(), root=str(tmp_path))

    def run(worker: Worker, arguments: str) -> Event:
        function, outputs = f"{__name__}:count_letters", {"count.txt": place / "n.txt"}
        letters = Job(function, arguments, (text,), outputs, lambda: nullcontext(place))
        return list(JobQueue([worker]).events(letters))[-1]

    for each in (LocalWorker("letters"), worker(actor)[0]):
        done = run(each, "")
        assert isinstance(done, events.Done), done
        assert (done.result.video, done.result.messages) == (place / "n.txt", (str(text),))
        assert (place / "n.txt").read_text(encoding="utf-8") == "letters: 3"
        (place / "n.txt").unlink()
        failed = run(each, "fail")
        assert isinstance(failed, events.Failed) and str(failed.error) == f"{text} has no letters"
        assert run(each, "cancel") == events.Cancelled()
        with pytest.raises(RuntimeError, match="without Done"):
            run(each, "no end")
    actor.close()


def test_short_models_folder_name_replaces_no_other_word(
    inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "weights").mkdir()
    monkeypatch.chdir(tmp_path)
    lacking = f"{tmp_path}/weights/net.onnx is missing: run  fantasyportrait weights fetch"

    def event_stream(*_: object) -> Iterator[Event]:
        yield events.Failed(WeightsError(lacking))

    monkeypatch.setattr(Animator, "events", event_stream)
    actor = WorkerActor(SETUP, RuntimeConfig(), "weights", root=str(tmp_path))
    last = list(JobQueue([worker(actor)[0]]).events(job(inputs, tmp_path / "o.mp4")))[-1]
    actor.close()
    assert isinstance(last, events.Failed)
    assert str(last.error) == "models/net.onnx is missing: run  fantasyportrait weights fetch (on the worker w)"


@pytest.mark.parametrize("original", ["/in/..", ".", "", "/in/a\\b", "/in/c:x", "/in/a\0b"])
def test_unsafe_original_name_is_not_used(tmp_path: Path, original: str) -> None:
    path = tmp_path / "in" / f"{'a' * 32}.png"
    path.parent.mkdir()
    path.touch()
    assert worker_actor._named_input(path, original) == path and path.exists()


@pytest.mark.parametrize("original", ["/etc/me & you.png", "../me & you.png", "C:/a/me & you.png"])
def test_input_keeps_original_name_on_worker(tmp_path: Path, original: str) -> None:
    path = tmp_path / "in" / f"{'a' * 32}.png"
    path.parent.mkdir()
    path.touch()
    titled = worker_actor._named_input(path, original)
    assert titled.name == "me & you.png" and titled.is_relative_to(tmp_path) and titled.exists()
