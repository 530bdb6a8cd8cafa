"""The server ends, and starts again: no photo, clip, card or job is lost."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fantasyportrait.core.locked_folder import WORK_PREFIX
from tests.ui.serving import free_port, place_examples, wait_for
from tests.ui.visitor import Visitor

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


@contextmanager
def app(folder: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, str]]:
    """An app whose results are in `folder`, with its address."""
    port = free_port()
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(folder / "uploads"))
    words = [sys.executable, "app.py", "--port", str(port), "--results", str(folder / "results")]
    with (folder / f"{port}.txt").open("wb") as log:
        process = subprocess.Popen(words, cwd=repository, stdout=log, stderr=subprocess.STDOUT)
        try:
            wait_for(f"http://127.0.0.1:{port}", process, folder / f"{port}.txt")
            yield process, f"http://127.0.0.1:{port}"
        finally:
            process.kill()
            process.wait()


def works(folder: Path) -> bool:
    """Whether a job is writing its result."""
    return bool(list((folder / "results").rglob(f"{WORK_PREFIX}*/*.mp4")))


@POSIX
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_session_and_job_survive_restart(
    tmp_path: Path,
    repository: Path,
    two_person: Path,
    clips: dict[str, Path],
    examples: Path,
    monkeypatch: pytest.MonkeyPatch,
    how: signal.Signals,
) -> None:
    """Whether the server ends cleanly or is killed, the job that ran is run again, and the one behind it after it."""
    place_examples(examples, tmp_path / "results")
    with app(tmp_path, repository, monkeypatch) as (process, address):
        visitor = Visitor(address)
        visitor.send_photo(two_person)
        visitor.send_clip(clips["one"], face=2)
        visitor.act("set_card", face=1, changes={"motion": "wink", "strength": 1.5})
        visitor.act("set_options", changes={"length": "seconds", "seconds": 2, "side_by_side": False})
        visitor.wait(lambda view: view["clips"][0]["state"] == "ready")
        assert not visitor.act("animate")["error"]
        visitor.act("set_options", changes={"seconds": 0.4})
        assert not visitor.act("animate")["error"]
        before = visitor.view()
        while not works(tmp_path):
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(how)
        process.wait(120)
    assert not works(tmp_path) or how == signal.SIGKILL
    with app(tmp_path, repository, monkeypatch) as (_, address):
        again = Visitor(address, visitor.token)
        found = again.view()
        found["photo"].pop("loop"), before["photo"].pop("loop")
        for part in ("photo", "cards", "options", "clips"):
            assert found[part] == before[part], part
        ended = again.wait(lambda view: len(view["results"]) == 2)
        assert {job["state"] for job in ended["jobs"]} == set()
        assert sorted(result["frames"] for result in ended["results"]) == [10, 50]
        assert all(again.fetch(result["video"]).status_code == 200 for result in ended["results"])


@POSIX
def test_terminated_app_leaves_no_unfinished_files(
    tmp_path: Path, repository: Path, two_person: Path, examples: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place_examples(examples, tmp_path / "results")
    with app(tmp_path, repository, monkeypatch) as (process, address):
        visitor = Visitor(address)
        visitor.send_photo(two_person)
        visitor.act("set_options", changes={"length": "seconds", "seconds": 600})
        assert not visitor.act("animate")["error"]
        while not works(tmp_path):
            assert process.poll() is None
            time.sleep(0.05)
        process.terminate()
        assert process.wait(120) == 143
    assert not list((tmp_path / "results").rglob(f"{WORK_PREFIX}*"))
