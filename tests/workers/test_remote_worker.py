"""The two halves of a far worker beside one another, without a wire: what is sent, lost, refused and left behind."""

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import FantasyPortraitError, OutputError, RequestError, WeightsError
from fantasyportrait.media.request_files import load_request
from fantasyportrait.runtime.runtime_config import RuntimeConfig
from fantasyportrait.schema import events
from fantasyportrait.schema.cast import BuiltinSource, ClipSource, Role
from fantasyportrait.schema.events import Event
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.service.animator import Animator
from fantasyportrait.workers import file_transfer, job_queue, remote_worker, worker_actor
from fantasyportrait.workers.file_transfer import localize_paths, pack
from fantasyportrait.workers.job_queue import JobQueue, WorkerBusy, WorkerLost
from fantasyportrait.workers.remote_worker import RemoteWorker
from fantasyportrait.workers.worker_actor import MODELS, RESULT, UnknownJob, WorkerActor, is_result
from tests.conftest import Inputs

WAIT_S = 60.0
JOB = "a" * 32
MKDIR, OPEN = Path.mkdir, Path.open


@pytest.fixture
def actor(tmp_path: Path, models_dir: Path) -> Iterator[WorkerActor]:
    """A worker actor with a folder of its own beneath the test's."""
    (tmp_path / "root").mkdir()
    made = WorkerActor(RuntimeConfig(), str(models_dir), root=str(tmp_path / "root"))
    yield made
    made.close()
    assert not any((tmp_path / "root").iterdir())


def worker(
    actor: WorkerActor, before: Callable[[str], None] = lambda method: None, stop_timeout_s: float = 300.0
) -> tuple[RemoteWorker, list[str]]:
    """A worker whose wire is a call, after `before`; and a list that says whether it was given up."""
    ended: list[str] = []

    def ask(method: str, *arguments: object) -> Any:
        before(method)
        return getattr(actor, method)(*arguments)

    return RemoteWorker("w", ask, lambda: ended.append("w"), stop_timeout_s), ended


def request(inputs: Inputs, **changes: Any) -> AnimationRequest:
    given = {"duration": 0.12, "max_side": 256, "side_by_side": False, **changes}
    return AnimationRequest(inputs.photo, (Role(1, BuiltinSource("nod")),), **given)


def files(folder: Path) -> list[Path]:
    # Others remove folders meanwhile, at which `rglob` fails.
    return [Path(place, name) for place, _, names in os.walk(folder) for name in names]


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_files_cross_in_pieces_and_a_clip_once(
    actor: WorkerActor, inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (worker_actor, file_transfer):
        monkeypatch.setattr(module, "CHUNK_BYTES", 5000)
    asked: list[str] = []
    far, _ = worker(actor, asked.append)
    clip = inputs.nodding_pair
    cast = tuple(Role(face, ClipSource(clip, end_s=0.2, person=face)) for face in (1, 2))
    wanted = AnimationRequest(inputs.pair, cast, duration=0.12, max_side=320, sound=f"file:{inputs.sound}")
    last = list(far.events(wanted, tmp_path / "far.mp4", CancelToken()))[-1]
    assert isinstance(last, events.Done), last
    near = Animator().animate(wanted, tmp_path / "near.mp4")
    assert (tmp_path / "far.mp4").read_bytes() == near.video.read_bytes()
    assert load_request(last.result.request) == load_request(near.request) and last.result.messages == near.messages
    sent = sum(-(-path.stat().st_size // 5000) for path in (inputs.pair, clip, inputs.sound))
    assert asked.count("write_input") == sent and asked.count("read") >= near.video.stat().st_size // 5000
    assert not files(tmp_path / "root")


@pytest.mark.parametrize("at", ["heartbeat", "acquire", "write_input", "start", "poll", "read"])
def test_a_loss_leaves_nothing_here_and_only_who_has_the_job_is_given_up(
    actor: WorkerActor, inputs: Inputs, tmp_path: Path, at: str
) -> None:
    asked: list[str] = []

    def before(method: str) -> None:
        asked.append(method)
        if method == at:
            raise WorkerLost("its process or machine ended")

    far, ended = worker(actor, before)
    (tmp_path / "out").mkdir()
    with pytest.raises(WorkerLost, match="ended") as loss:
        list(far.events(request(inputs), tmp_path / "out" / "o.mp4", CancelToken()))
    started = at not in ("heartbeat", "acquire")
    assert (
        loss.value.started == started and ended == ["w"] * started and asked[-1] == at and not files(tmp_path / "out")
    )


def test_a_worker_lost_after_the_end_is_given_up(actor: WorkerActor, inputs: Inputs, tmp_path: Path) -> None:
    def before(method: str) -> None:
        if method == "release":
            raise WorkerLost("its process or machine ended")

    far, ended = worker(actor, before)
    happened = list(JobQueue([far]).events(request(inputs), tmp_path / "o.mp4"))
    assert isinstance(happened[-1], events.Done) and happened.count(events.Stage("render")) == 1
    assert ended == ["w"] and (tmp_path / "o.mp4").is_file()


def test_work_that_does_not_stop_is_given_up_in_bounded_time(
    actor: WorkerActor, inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = CancelToken()

    def deaf(self: Animator, wanted: AnimationRequest, output: Path, cancel: CancelToken) -> Iterator[Event]:
        wait_for(lambda: go.cancelled)
        yield events.Cancelled()

    monkeypatch.setattr(Animator, "events", deaf)
    far, ended = worker(actor, stop_timeout_s=0.3)
    token = CancelToken()
    token.cancel()
    monkeypatch.setattr(token, "check", lambda: None)  # cancelled just after the files were sent
    with pytest.raises(WorkerLost, match="does not stop"):
        list(far.events(request(inputs), tmp_path / "o.mp4", token))
    assert ended == ["w"] and not go.cancelled
    go.cancel()


def test_a_bug_there_is_raised_here(
    actor: WorkerActor, inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("inside")

    monkeypatch.setattr(Animator, "events", broken)
    far, ended = worker(actor)
    with pytest.raises(RuntimeError, match="ZeroDivisionError: inside"):
        list(far.events(request(inputs), tmp_path / "o.mp4", CancelToken()))
    assert not ended and not files(tmp_path / "root")


def test_outputs_are_refused_before_anything_is_sent(actor: WorkerActor, inputs: Inputs, tmp_path: Path) -> None:
    asked: list[str] = []
    far, _ = worker(actor, asked.append)
    for output, error in ((tmp_path / "no" / "o.mp4", OutputError), (tmp_path / "o.exe", RequestError)):
        with pytest.raises(error):
            list(far.events(request(inputs), output, CancelToken()))
    assert set(asked) == {"heartbeat", "acquire", "release"}


def test_two_who_share_a_worker_work_one_after_the_other(
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
        return [str(list(queue.events(request(inputs), tmp_path / "o.mp4"))[-1]) for _ in range(3)]

    with ThreadPoolExecutor(2) as pool:
        ends = [end for told in pool.map(three_jobs, range(2)) for end in told]
    assert len(ends) == 6 and all(end.startswith("Failed(") and "the end" in end for end in ends)


def test_who_was_refused_may_come_before_who_had_the_worker(actor: WorkerActor) -> None:
    """Whoever has a long line asks again at once after each job."""
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


def test_a_busy_worker_is_sent_nothing(actor: WorkerActor, inputs: Inputs, tmp_path: Path) -> None:
    asked: list[str] = []
    far, ended = worker(actor, asked.append)
    actor.acquire(JOB)
    with pytest.raises(WorkerBusy):
        list(far.events(request(inputs), tmp_path / "o.mp4", CancelToken()))
    assert asked == ["heartbeat", "acquire"] and not ended


@pytest.mark.parametrize("at", ["write_input", "start", "read"])
def test_a_worker_whose_disk_fails_says_so(
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
        list(far.events(request(inputs), tmp_path / "o.mp4", CancelToken()))
    assert not ended and not files(tmp_path / "root")


def test_a_disk_that_fails_ends_no_tending(
    inputs: Inputs, tmp_path: Path, models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tended: list[object] = []

    def fails(path: object) -> None:
        tended.append(path)
        raise OSError("the disk fails")

    monkeypatch.setattr(os, "utime", fails)
    actor = WorkerActor(RuntimeConfig(), str(models_dir), root=str(tmp_path), job_timeout_s=0.05)
    wait_for(lambda: bool(tended))
    actor.acquire(JOB)
    actor.write_input(JOB, "b" * 32, b"x")
    wait_for(lambda: not files(tmp_path))
    actor.close()


def test_a_job_that_nobody_asks_about_is_stopped(inputs: Inputs, tmp_path: Path, models_dir: Path) -> None:
    """And the folder of a worker that was killed is removed by another one."""
    left = tmp_path / f"{worker_actor.PREFIX}left"
    (left / JOB).mkdir(parents=True)
    os.utime(left, (0, 0))
    fresh = tmp_path / f"{worker_actor.PREFIX}fresh"
    fresh.mkdir()
    actor = WorkerActor(RuntimeConfig(), str(models_dir), root=str(tmp_path), job_timeout_s=0.4, folder_timeout_s=60)
    far, ended = worker(actor)
    event_stream = far.events(request(inputs, duration=600), tmp_path / "o.mp4", CancelToken())
    assert next(event_stream) == events.Stage("portrait")
    wait_for(lambda: not files(tmp_path) and not left.exists())
    with pytest.raises(FantasyPortraitError, match="nobody had listened"):
        list(event_stream)
    assert not ended and fresh.is_dir()
    actor.close()


def test_names_from_the_wire_lead_nowhere_else(actor: WorkerActor, inputs: Inputs, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no name of a job"):
        actor.acquire("../up")
    actor.acquire(JOB)
    for name in ("../b", "b" * 32 + "/c", "/etc/hostname"):
        with pytest.raises(ValueError, match="no name of an input"):
            actor.write_input(JOB, name, b"x")
    actor.write_input(JOB, "b" * 32, b"x")
    for suffix in ("/../../x", ".mp4/x", ".M"):
        with pytest.raises(ValueError, match="no suffix"):
            actor.start(JOB, request(inputs).to_json(), suffix)
    with pytest.raises(ValueError, match="not received"):
        actor.start(JOB, request(inputs).to_json(), ".mp4")
    with pytest.raises(ValueError, match="no name of a result"):
        actor.read(JOB, "../in/" + "b" * 32, 0)
    for ask in (lambda: actor.poll("c" * 32, 0), lambda: actor.write_input("../up", "b" * 32, b"x")):
        with pytest.raises(UnknownJob):
            ask()
    payload = pack(request(inputs), tmp_path / "o.mp4")
    for name in ("../o.mp4", "result.sh", "result/frame_1.png", "/result.mp4", "result.request.json"):
        with pytest.raises(ValueError, match="not asked for"):
            file_transfer.fetch(payload, [name], lambda name, offset: b"", CancelToken())
    assert is_result("result/frame_000001.png") and not is_result("result/../frame_1.png")
    assert not (tmp_path / "o.mp4").exists()


def test_messages_speak_of_this_machines_files(inputs: Inputs, tmp_path: Path) -> None:
    payload = pack(request(inputs), tmp_path / "o.mp4")
    (name,) = payload.files
    remote_names = {name: f"/tmp/w/{name}", RESULT: "/tmp/w/out/result.mp4", MODELS: "/srv/all/models"}
    said = f"/tmp/w/{name} and {name}; /tmp/w/out/result.mp4; /srv/all/models/wan is missing"
    here = f"{inputs.photo} and one.png; {tmp_path / 'o.mp4'}; models/wan is missing"
    assert localize_paths(said, remote_names, payload) == here


def test_a_short_name_of_the_models_folder_garbles_no_message(
    inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "weights").mkdir()
    monkeypatch.chdir(tmp_path)
    lacking = f"{tmp_path}/weights/net.onnx is missing: run  fantasyportrait weights fetch"

    def event_stream(*_: object) -> Iterator[Event]:
        yield events.Failed(WeightsError(lacking))

    monkeypatch.setattr(Animator, "events", event_stream)
    actor = WorkerActor(RuntimeConfig(), "weights", root=str(tmp_path))
    last = list(worker(actor)[0].events(request(inputs), tmp_path / "o.mp4", CancelToken()))[-1]
    actor.close()
    assert isinstance(last, events.Failed)
    assert str(last.error) == "models/net.onnx is missing: run  fantasyportrait weights fetch (on the worker w)"


@pytest.mark.parametrize("title", ["..", ".", "", "/etc/x", "../x", "a/b", "a\\b", "c:x", "a\0b", None])
def test_a_name_that_leads_elsewhere_is_not_used(tmp_path: Path, title: str | None) -> None:
    path = tmp_path / "in" / f"{'a' * 32}.png"
    path.parent.mkdir()
    path.touch()
    assert worker_actor._named_input(path, title) == path and path.exists()


def test_a_file_has_its_own_name_there(tmp_path: Path) -> None:
    path = tmp_path / "in" / f"{'a' * 32}.png"
    path.parent.mkdir()
    path.touch()
    titled = worker_actor._named_input(path, "me & you.png")
    assert titled.name == "me & you.png" and titled.is_relative_to(tmp_path) and titled.exists()
