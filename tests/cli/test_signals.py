"""A command ended by a signal at any time: at most one sentence, the signal's exit code, no files left."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from fantasyportrait.cli.signals import GRACE_S, handle_signals
from tests.conftest import Inputs

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sends signals")

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
INTERRUPTED_IMPORT = """
import os, signal, sys

_, module, number, *words = sys.argv

class SignalHandler:
    def find_spec(self, name, *_):
        if name == module:
            os.kill(os.getpid(), getattr(signal, number))

sys.meta_path.insert(0, SignalHandler())
from fantasyportrait.cli.main import main
sys.argv = ["fantasyportrait", *words]
sys.exit(main())
"""
# However late the second signal comes on a busy machine.
PATIENT = """
import sys
from fantasyportrait.cli import main, signals

signals.GRACE_S = 600
sys.exit(main.main())
"""


def started(photo: Path, folder: Path, moment: str, seconds: str = "60") -> "subprocess.Popen[str]":
    """`animate` in a process of its own, once its log has a line with this beginning."""
    words = ["animate", str(photo), "--cast", "1=motion:laugh", "--duration", seconds, "-o", "o.mp4"]
    job = subprocess.Popen(
        [sys.executable, "-c", PATIENT, *words],
        cwd=folder,
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert job.stderr is not None
    for line in job.stderr:
        if line.startswith(moment):
            break
    return job


@pytest.mark.parametrize(
    ("name", "gaps_s"), [("SIGINT", [0.0]), ("SIGINT", [0.05, 0.05]), ("SIGTERM", [0.05]), ("SIGHUP", [0.05])]
)
def test_repeated_signal_stops_once(inputs: Inputs, tmp_path: Path, name: str, gaps_s: list[float]) -> None:
    number = signal.Signals[name]
    with started(inputs.photo, tmp_path, "rendering") as job:
        job.send_signal(number)
        for gap in gaps_s:
            time.sleep(gap)
            job.send_signal(number)
        assert job.stderr is not None
        rest = job.stderr.read()
    assert (job.returncode, rest.strip()) == (128 + number, "error: stopped: nothing was written")
    assert list(tmp_path.iterdir()) == []


def test_next_run_removes_files_of_killed_run(inputs: Inputs, tmp_path: Path) -> None:
    with started(inputs.photo, tmp_path, "rendering") as job:
        while not list(tmp_path.glob(".fantasyportrait-*/o.mp4*")) and not list(tmp_path.glob(".fant*/.fant*/o.mp4")):
            time.sleep(0.05)
        job.kill()
    assert len(list(tmp_path.iterdir())) == 1
    started(inputs.photo, tmp_path, "finishing", "0.08").communicate(timeout=300)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["o.mp4", "o.mp4.request.json", "o.mp4.side-by-side.mp4"]


def test_ignored_signal_stays_ignored(inputs: Inputs, tmp_path: Path) -> None:
    """An ignored signal, as under nohup, does not stop the command."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        job = started(inputs.photo, tmp_path, "rendering", "0.2")
    finally:
        signal.signal(signal.SIGHUP, before)
    job.send_signal(signal.SIGHUP)
    job.communicate(timeout=300)
    assert job.returncode == 0 and (tmp_path / "o.mp4").exists()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("typer", "SIGINT"), ("fantasyportrait.cli.commands", "SIGHUP"), ("numpy", "SIGINT"), ("cv2", "SIGTERM"),
        ("av", "SIGINT"),
    ],
)  # fmt: skip
def test_signal_during_imports_stops_cleanly(inputs: Inputs, tmp_path: Path, module: str, name: str) -> None:
    words = ["animate", str(inputs.photo), "--cast", "1=motion:laugh", "-o", str(tmp_path / "o.mp4")]
    command = [sys.executable, "-c", INTERRUPTED_IMPORT, module, name, *words]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (128 + getattr(signal, name), "error: stopped\n")
    assert list(tmp_path.iterdir()) == []


def test_next_signal_ends_slow_cleanup() -> None:
    code = (
        "import os, signal, time\n"
        "from fantasyportrait.cli.signals import handle_signals\n"
        "with handle_signals(True):\n"
        "    try:\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "    finally:\n"
        "        print('cleaning', flush=True)\n"
        "        time.sleep(600)\n"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as job:
        assert job.stdout is not None and job.stdout.readline() == "cleaning\n"
        time.sleep(GRACE_S + 0.5)
        job.send_signal(signal.SIGINT)
        _, errors = job.communicate(timeout=120)
    assert (job.returncode, errors) == (130, "")


def test_interrupt_lost_in_destructor_is_raised_again() -> None:
    """Python only prints an exception of a destructor, so the interrupt must be raised again."""

    class InterruptedDestructor:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.01)

    with handle_signals(False) as interrupts, pytest.raises(KeyboardInterrupt):
        InterruptedDestructor()
        time.sleep(60)
    assert interrupts.code == 143


def test_handle_signals_restores_handlers() -> None:
    def handlers() -> list[object]:
        return [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]

    before = handlers()
    with handle_signals(False):
        assert all(one != other for one, other in zip(before, handlers(), strict=True))
    assert handlers() == before
    seen: list[list[object]] = []

    def in_other_thread() -> None:
        with handle_signals(True):
            seen.append(handlers())

    thread = threading.Thread(target=in_other_thread)
    thread.start()
    thread.join()
    assert seen == [before]
