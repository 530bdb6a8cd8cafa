"""Temporary folders with a lock file: while a process holds the lock, others leave its folder alone."""

import contextlib
import os
import shutil
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

WORK_PREFIX = ".fantasyportrait-"
"""Prefix of the hidden folders beside results."""
_LOCK = "owner.lock"
_ID_LENGTH = 12


@contextmanager
def locked_folder(parent: Path, prefix: str = WORK_PREFIX) -> Iterator[Path]:
    """A new folder `prefix` + 12 random digits in `parent` with mode 0700, removed at the end, also after an error.

    Folders that killed processes left there with the same prefix are removed first. Raises OSError where the new one
    cannot be created.
    """
    remove_stale(parent, prefix)
    folder, lock = _create(parent, prefix)
    try:
        yield folder
    finally:
        lock.close()  # Windows cannot remove an open file
        shutil.rmtree(folder, ignore_errors=True)


def remove_stale(parent: Path, prefix: str = WORK_PREFIX) -> None:
    """Remove the folders of `locked_folder` in `parent` whose processes are dead.

    A folder of a living process, a symbolic link, and what cannot be locked or removed stay.
    """
    with contextlib.suppress(OSError), os.scandir(parent) as entries:
        names = [
            entry.name for entry in entries if _is_ours(entry.name, prefix) and entry.is_dir(follow_symlinks=False)
        ]
        for name in names:
            _remove_if_stale(parent / name)


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Allow one process at a time in this block for the same folder, where the system can lock a folder."""
    descriptor = None
    if sys.platform != "win32":
        import fcntl

        with contextlib.suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _is_ours(name: str, prefix: str) -> bool:
    digits = name.removeprefix(prefix)
    return name.startswith(prefix) and len(digits) == _ID_LENGTH and set(digits) <= set("0123456789abcdef")


def _create(parent: Path, prefix: str) -> tuple[Path, IO[bytes]]:
    """The folder and its open, locked file. Where `remove_stale` removes it before it is locked, another is created."""
    while True:
        folder = parent / f"{prefix}{uuid.uuid4().hex[:_ID_LENGTH]}"
        folder.mkdir(mode=0o700)
        try:
            lock = (folder / _LOCK).open("xb")
        except FileNotFoundError:
            continue
        taken = _lock(lock)
        # On a file system without locks no folder counts as stale.
        if taken is not False and (folder / _LOCK).exists():
            return folder, lock
        lock.close()


def _remove_if_stale(folder: Path) -> None:
    try:
        lock = (folder / _LOCK).open("rb+")
    except FileNotFoundError:
        # Created but not locked yet: its process creates another one. Or its process died at that moment.
        with contextlib.suppress(OSError):
            folder.rmdir()
        return
    except OSError:
        return
    taken = _lock(lock)
    if taken is not True:
        lock.close()
        return
    if sys.platform == "win32":
        lock.close()
    shutil.rmtree(folder, ignore_errors=True)
    lock.close()


def _lock(file: IO[bytes]) -> bool | None:
    """Lock the file until it is closed: True if that worked, False if it is locked already, None if locks fail."""
    try:
        _locker()(file.fileno())
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return None
    return True


def _locker() -> Callable[[int], None]:
    """The system's lock function for a descriptor: non-blocking, and released when the process ends."""
    if sys.platform == "win32":
        import msvcrt

        return lambda descriptor: msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    import fcntl

    return lambda descriptor: fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
