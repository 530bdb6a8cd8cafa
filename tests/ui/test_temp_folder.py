"""The folder of uploads is removed when the app ends or the next one starts."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fantasyportrait.core.errors import OutputError
from tests.ui.serving import free_port, place_examples, wait_for
from tests.ui.visitor import Visitor
from ui.temp_folder import VARIABLE, upload_folder

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="permissions and signals")


@pytest.fixture(autouse=True)
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The place for temporary files."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "temporary"))
    return tmp_path / "temporary"


def test_temp_folder_exists_while_app_runs(base: Path) -> None:
    with upload_folder() as folder:
        assert os.environ[VARIABLE] == str(folder) and folder.resolve() == folder
        assert folder.is_relative_to(base.resolve()) and folder.name.startswith("app-")
        if sys.platform != "win32":
            assert (folder.stat().st_mode | folder.parent.stat().st_mode) & 0o077 == 0
        (folder / "photo.png").touch()
    assert not folder.exists() and os.environ[VARIABLE] == str(base)


def test_temp_folder_defaults_to_system_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with upload_folder() as folder:
        assert folder.is_relative_to(tmp_path.resolve())
    assert VARIABLE not in os.environ


@POSIX
def test_temp_folder_refuses_foreign_folder(base: Path, tmp_path: Path) -> None:
    base.mkdir()
    own = base / f"fantasyportrait-{os.getuid()}"
    own.symlink_to(tmp_path, target_is_directory=True)
    with pytest.raises(OutputError, match="is not a folder of this user alone"), upload_folder():
        pass
    own.unlink()
    own.mkdir()
    own.chmod(0o777)
    with pytest.raises(OutputError, match="is not a folder of this user alone"), upload_folder():
        pass


def test_temp_folder_reports_unusable_path(base: Path) -> None:
    base.write_text("a file")
    with pytest.raises(OutputError, match="uploads cannot be kept in"), upload_folder():
        pass


@contextmanager
def app(folder: Path, repository: Path, examples: Path) -> Iterator["tuple[subprocess.Popen[bytes], str]"]:
    """An app that keeps its uploads beneath `base`."""
    port = free_port()
    results = folder / f"results-{port}"
    place_examples(examples, results)
    words = [sys.executable, "app.py", "--port", str(port), "--results", str(results)]
    with (folder / f"{port}.txt").open("wb") as log:
        process = subprocess.Popen(words, cwd=repository, stdout=log, stderr=subprocess.STDOUT)
        try:
            wait_for(f"http://127.0.0.1:{port}", process, folder / f"{port}.txt")
            yield process, f"http://127.0.0.1:{port}"
        finally:
            process.kill()
            process.wait()


@POSIX
def test_temp_folder_is_removed_at_exit_or_next_start(
    base: Path, tmp_path: Path, repository: Path, two_person: Path, examples: Path
) -> None:
    """By a signal, or at the start of another app; the folder of a running app stays."""

    def photos() -> list[Path]:
        return list(base.rglob("two_people.png"))

    with app(tmp_path, repository, examples) as (killed, address):
        Visitor(address).upload(two_person)
        killed.kill()
    assert len(photos()) == 1
    with app(tmp_path, repository, examples) as (first, address):
        assert photos() == [] and "Traceback" not in Visitor(address).upload(two_person)
        with app(tmp_path, repository, examples) as (second, other):
            Visitor(other).upload(two_person)
            assert len(photos()) == 2
            second.send_signal(signal.SIGHUP)
            assert second.wait(120) == 129
        assert len(photos()) == 1
        first.terminate()
        assert first.wait(120) == 143
    assert photos() == [] and not list(base.rglob("app-*"))
    assert not any("Traceback" in log.read_text(errors="replace") for log in tmp_path.glob("*.txt"))
