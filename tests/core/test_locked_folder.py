"""Locked work folders are removed with their process, or by the next one in the same place."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fantasyportrait.core.locked_folder import WORK_PREFIX, folder_lock, locked_folder, remove_stale

HOLD = """
import sys, time
from pathlib import Path
from fantasyportrait.core.locked_folder import locked_folder
with locked_folder(Path(sys.argv[1])) as folder:
    (folder / "half").write_text("x")
    print(folder, flush=True)
    time.sleep(600)
"""


@contextmanager
def holder(parent: Path) -> Iterator["tuple[subprocess.Popen[str], Path]"]:
    """Another process that works in a folder of its own."""
    command = [sys.executable, "-c", HOLD, str(parent)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, Path(process.stdout.readline().strip())
        finally:
            process.kill()


def test_folder_is_private_and_temporary(tmp_path: Path) -> None:
    with locked_folder(tmp_path) as folder:
        assert folder.parent == tmp_path and folder.name.startswith(WORK_PREFIX) and len(folder.name) < 40
        if sys.platform != "win32":
            assert folder.stat().st_mode & 0o077 == 0
        (folder / "half").touch()
    with pytest.raises(ZeroDivisionError), locked_folder(tmp_path):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileNotFoundError), locked_folder(tmp_path / "none"):
        pass


def test_folders_of_dead_processes_are_removed(tmp_path: Path) -> None:
    with holder(tmp_path) as (living, folder), holder(tmp_path) as (dead, left):
        dead.kill()
        dead.wait()
        assert (left / "half").exists()
        with locked_folder(tmp_path) as own:
            assert sorted(tmp_path.iterdir()) == sorted([folder, own])
            remove_stale(tmp_path)
            assert own.exists()
        assert living.poll() is None and (folder / "half").exists()


def test_nothing_else_is_removed(tmp_path: Path) -> None:
    """Other names, other prefixes, files and links stay; an empty folder with our prefix was being made."""
    digits = "0123456789ab"
    for name in (f"{WORK_PREFIX}{digits[:-1]}", f"{WORK_PREFIX}{digits}x", f"{WORK_PREFIX}holiday-pics", "holiday"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").touch()
    (tmp_path / f"{WORK_PREFIX}{digits}").touch()
    (tmp_path / f"{WORK_PREFIX}aaaaaaaaaaaa").symlink_to(tmp_path / "holiday", target_is_directory=True)
    (tmp_path / f"{WORK_PREFIX}bbbbbbbbbbbb").mkdir()
    (tmp_path / f"{WORK_PREFIX}bbbbbbbbbbbb" / "no lock").touch()
    (tmp_path / f"{WORK_PREFIX}cccccccccccc").mkdir()
    before = set(tmp_path.iterdir())
    remove_stale(tmp_path)
    assert before - set(tmp_path.iterdir()) == {tmp_path / f"{WORK_PREFIX}cccccccccccc"}
    assert (tmp_path / "holiday" / "a").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="folders have no locks")
def test_one_process_at_a_time(tmp_path: Path) -> None:
    import fcntl
    import os

    descriptor = os.open(tmp_path, os.O_RDONLY)
    with folder_lock(tmp_path), pytest.raises(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(descriptor)
