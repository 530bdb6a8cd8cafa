"""`fantasyportrait workers` from start to Ctrl-C, and addresses without a cluster."""

import os
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from fantasyportrait.cli import workers
from fantasyportrait.core.errors import RequestError
from fantasyportrait.workers import ray_cluster
from fantasyportrait.workers.worker_actor import PREFIX
from tests.cli.conftest import Command

pytest.importorskip("ray")
START_S = 120.0
RUN = """
import sys
from pathlib import Path
from fantasyportrait.schema.cast import BuiltinSource, Role
from fantasyportrait.workers.ray_cluster import ray_queue
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.service.animate_job import animate_job
cast = (Role(1, BuiltinSource("nod")),)
request = AnimationRequest(Path(sys.argv[2]), cast, duration=0.12, max_side=384, side_by_side=False)
print(list(ray_queue(sys.argv[1]).events(animate_job(request, Path(sys.argv[3]))))[-1])
"""


def silent_port() -> socket.socket:
    """A listening socket that never answers."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    return listening


def test_workers_help_shows_multi_machine_commands(command: Command) -> None:
    outcome = command("workers", "--help")
    assert outcome.code == 0 and "ray start --head" in outcome.out and "--gpus-per-worker" in outcome.out


@pytest.mark.ray
def test_address_without_cluster_is_one_error(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    # Joining may say "token" there, for the whole process: a cluster that a later test begins must not find it.
    monkeypatch.setenv(ray_cluster.AUTH_ENV, "")
    monkeypatch.delenv(ray_cluster.AUTH_ENV)
    for address, words in (
        ("nonsense", "give HOST:PORT, ray://HOST:PORT or auto"),
        ("127.0.0.1:1", "cannot be joined"),
    ):
        outcome = command("workers", "--address", address)
        assert outcome.code == 2 and words in outcome.err and address in outcome.err
        assert len(outcome.err.splitlines()) == 1
    with silent_port() as silent, pytest.raises(RequestError, match="no Ray cluster answered within 1 s"):
        ray_cluster.join(f"127.0.0.1:{silent.getsockname()[1]}", timeout_s=1.0)


def test_workers_settings_are_checked_before_cluster_starts(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_cluster, "join", lambda *_: pytest.fail("a cluster was begun"))
    outcome = command("workers", "--profile", "moon")
    assert outcome.code == 2 and "profile is 'moon'" in outcome.err
    outcome = command("workers", "--gpus-per-worker", "0", "--device", "mps")
    assert outcome.code == 2 and "--device is mps: leave out one" in outcome.err


def test_lost_cluster_is_reported_once_and_rejoined(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers: list[object] = [
        RequestError("away"),
        RequestError("away"),
        ((), ("worker-1",)),
        ((), ()),
        (("worker-1",), ("worker-2",)),
    ]

    class LostPool:
        def replace_dead(self) -> object:
            if not answers:
                raise KeyboardInterrupt
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

    joined: list[str] = []
    monkeypatch.setattr(ray_cluster, "rejoin", joined.append)
    monkeypatch.setattr(workers, "MONITOR_INTERVAL_S", 0.0)
    with pytest.raises(KeyboardInterrupt):
        workers._monitor(LostPool(), "ray://first:10001")
    said = capsys.readouterr().err.splitlines()
    assert said == [
        "note: away",
        "note: the others ended; replaced by worker-1",
        "note: worker-1 ended; replaced by worker-2",
    ]
    assert joined == ["ray://first:10001"] * 6


@pytest.mark.ray
def test_workers_serve_other_process_until_interrupted(two_person: Path, tmp_path: Path, models_dir: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    before = kept()
    command = [
        sys.executable,
        "-m",
        "fantasyportrait",
        "workers",
        "--num-workers",
        "1",
        "--models-dir",
        str(models_dir),
    ]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        said = lines_until(process, "Ctrl-C ends them")
        address = next(line.rpartition(" ")[2] for line in said if "--ray" in line)
        output = tmp_path / "o.mp4"
        run = [sys.executable, "-c", RUN, address, str(two_person), str(output)]
        done = subprocess.run(run, capture_output=True, text=True, timeout=START_S, check=False)
        assert done.stdout.startswith("Done("), done.stdout + done.stderr
        assert output.is_file()
    finally:
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=60)
    assert process.returncode == 0 and "ending the workers" in rest and not errors
    assert kept() <= before


def lines_until(process: "subprocess.Popen[str]", last: str) -> list[str]:
    """The lines of its output up to `last`; fails if `last` does not come."""
    lines: queue.Queue[str] = queue.Queue()
    stream = process.stdout
    assert stream is not None

    def read() -> None:
        for line in iter(stream.readline, ""):
            lines.put(line.strip())
            if line.strip() == last:
                return
        lines.put("")

    threading.Thread(target=read, daemon=True).start()
    seen: list[str] = []
    while last not in seen:
        seen.append(lines.get(timeout=START_S))
        assert seen[-1], f"it ended after {seen}"
    return seen


def kept() -> set[Path]:
    """The folders of workers on this machine."""
    return set(Path(tempfile.gettempdir()).glob(f"{PREFIX}*"))
