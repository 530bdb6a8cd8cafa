"""The app served on a free port, and small driving clips."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.service.factories import acted, one_person

START_S = 60.0


@dataclass(frozen=True)
class Served:
    """An app that runs in a process of its own."""

    address: str
    results: Path


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory, two_person: Path, models_dir: Path) -> dict[str, Path]:
    """Clips of one second: "one" shows a person who talks, "two" shows two people who nod and smile."""
    folder = tmp_path_factory.mktemp("clips")
    photo = one_person(two_person, folder / "one.png")
    return {
        "one": acted(photo, ("talk",), folder / "talking.mp4"),
        "two": acted(two_person, ("nod", "smile"), folder / "pair.mp4"),
    }


@pytest.fixture(scope="session")
def app(tmp_path_factory: pytest.TempPathFactory, repository: Path, models_dir: Path) -> Iterator[Served]:
    """The app as it is without flags: the preview alone."""
    with serve(repository, tmp_path_factory.mktemp("app")) as served:
        yield served


@pytest.fixture(scope="session")
def wan_app(tmp_path_factory: pytest.TempPathFactory, repository: Path, models_dir: Path) -> Iterator[Served]:
    """An app that offers the diffusion engine, with an empty folder for its model: nothing can be rendered."""
    folder = tmp_path_factory.mktemp("wan-app")
    model = folder / "secret-place" / "some-model"
    model.mkdir(parents=True)
    with serve(repository, folder, "--model", str(model), "--device", "cpu") as served:
        yield served


@contextmanager
def serve(repository: Path, folder: Path, *flags: str) -> Iterator[Served]:
    """`python app.py` on a free port, with folders of its own."""
    port = free_port()
    environment = {
        **os.environ,
        "GRADIO_TEMP_DIR": str(folder / "uploads"),
        "FANTASYPORTRAIT_CACHE_DIR": str(folder / "cache"),
    }
    command = [sys.executable, "app.py", "--port", str(port), "--results", str(folder / "results"), *flags]
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(command, cwd=repository, env=environment, stdout=log, stderr=subprocess.STDOUT)
        served = Served(f"http://127.0.0.1:{port}", folder / "results")
        try:
            wait_for(served.address, process, folder / "log.txt")
            yield served
        finally:
            process.terminate()
            process.wait(timeout=30)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(address: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Return as soon as the app answers; fail with its log if it ends or stays silent."""
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except (urllib.error.URLError, TimeoutError):
            time.sleep(0.2)
    pytest.fail(f"the app did not start:\n{log.read_text(encoding='utf-8', errors='replace')}")
