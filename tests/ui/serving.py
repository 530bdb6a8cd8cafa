"""`python app.py` as a visitor's server: in a process of its own, on a free port."""

import os
import shutil
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

START_S = 180.0


@dataclass(frozen=True)
class Served:
    """An app that runs in a process of its own."""

    address: str
    results: Path


def place_examples(examples: Path, results: Path) -> None:
    """Give an app that has not started the loops of its examples, which take it several seconds to make."""
    shutil.copytree(examples, results / "sessions" / examples.name)


@contextmanager
def serve(repository: Path, folder: Path, examples: Path, *flags: str) -> Iterator[Served]:
    """`python app.py` on a free port, with folders of its own."""
    port = free_port()
    place_examples(examples, folder / "results")
    environment = {
        **os.environ,
        "GRADIO_TEMP_DIR": str(folder / "uploads"),
        "FANTASYPORTRAIT_CACHE_DIR": str(folder / "cache"),
        # Several threads for small arrays, beside a browser and other tests, are slower than one.
        "OMP_NUM_THREADS": "1",
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
            process.wait(timeout=60)


def free_port() -> int:
    """A free port."""
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
