"""A shelf of cached results: one folder an entry, written in one step, those used longest ago thrown away first."""

import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from fantasyportrait.core.errors import MediaError
from fantasyportrait.core.files import file_sha256

T = TypeVar("T")


def content_key(path: Path, facts: str) -> str:
    """Name of an entry: sha256 of `facts`, which say how it is made, and of the bytes of the file it is made from."""
    try:
        return file_sha256(path, f"{facts}\n")
    except OSError as error:
        raise MediaError(f"cannot read {path}: {error.strerror or error}; check the path") from error


@dataclass(frozen=True)
class Shelf:
    """A folder that keeps `entries` results, each under a name that says everything it depends on.

    A cache is never in the way: where nothing can be read or written, work is merely done anew.
    """

    folder: Path
    entries: int = 64

    def load(self, key: str, read: Callable[[Path], T]) -> T | None:
        """What `read` makes of the entry's folder, or None where it is absent or damaged (then it is removed)."""
        entry = self.folder / key
        try:
            found = read(entry)
        except (OSError, ValueError, KeyError, TypeError, EOFError):
            shutil.rmtree(entry, ignore_errors=True)
            return None
        with suppress(OSError):  # a read-only cache is still a cache
            os.utime(entry)
        return found

    def store(self, key: str, write: Callable[[Path], None]) -> None:
        """Let `write` fill a folder, then the entry; a full disk or one that cannot be written costs only the cache."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            half = Path(tempfile.mkdtemp(dir=self.folder, prefix=".half-"))
        except OSError:
            return
        try:
            write(half)
            os.replace(half, self.folder / key)
        except OSError:  # also where another process stored the same entry first
            shutil.rmtree(half, ignore_errors=True)
        self._prune()

    def _prune(self) -> None:
        """Remove the entries used longest ago beyond those that are kept."""
        try:
            found = sorted(self.folder.iterdir(), key=lambda entry: entry.stat().st_mtime, reverse=True)
        except OSError:
            return
        for entry in found[self.entries :]:
            shutil.rmtree(entry, ignore_errors=True)
