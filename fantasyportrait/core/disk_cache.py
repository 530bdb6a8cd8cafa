"""A disk cache: one folder per entry, written atomically, evicted least recently used first."""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from fantasyportrait.core.atomic_write import atomic_write
from fantasyportrait.core.files import file_sha256
from fantasyportrait.core.locked_folder import WORK_PREFIX

T = TypeVar("T")

CACHE_EXPIRY_S = 30 * 24 * 3600.0
"""Default for `expiry_s`: seconds after which an unused entry is removed."""

_CHECKSUMS = "sha256.json"


def content_key(sha256: str, description: str) -> str:
    """Name of an entry: sha256 of `description` (how it is made) and of the source file's sha256."""
    return hashlib.sha256(f"{description}\n{sha256}".encode()).hexdigest()


@dataclass(frozen=True)
class DiskCache:
    """A folder of computed results, each under a key made of everything it depends on (`content_key`).

    It keeps at most `entries` entries and `max_bytes` bytes, evicts the least recently used first, and drops an entry
    that was not used for `expiry_s` seconds. `load` compares every file with the sha256 taken when it was written.
    Errors of the disk are not raised: the result is then computed again.
    """

    folder: Path
    entries: int = 64
    max_bytes: int = 512 << 20
    expiry_s: float = CACHE_EXPIRY_S

    def load(self, key: str, read: Callable[[Path], T]) -> T | None:
        """`read(folder)` of the entry, or None where the entry is absent, expired or damaged; the last two are removed.

        Damaged: a file has another sha256, or `read` raises.
        """
        entry = self.folder / key
        try:
            if entry.stat().st_mtime < time.time() - self.expiry_s:
                raise ValueError("the entry is expired")
            _verify_checksums(entry)
            found = read(entry)
        except Exception:  # each reader raises errors of its own for damaged files
            shutil.rmtree(entry, ignore_errors=True)
            return None
        with suppress(OSError):  # a read-only cache still serves
            os.utime(entry)
        return found

    def store(self, key: str, write: Callable[[Path], None]) -> None:
        """Store the files that `write` puts into a new folder. On a full or read-only disk nothing is stored."""
        with suppress(OSError):  # also where another process stored the same entry first
            self.folder.mkdir(parents=True, exist_ok=True)
            with atomic_write(self.folder / key) as entry:
                entry.mkdir(mode=0o700)
                write(entry)
                checksums = {file.name: file_sha256(file) for file in entry.iterdir()}
                (entry / _CHECKSUMS).write_text(json.dumps(checksums), encoding="utf-8")
        self._prune()

    def _prune(self) -> None:
        """Remove expired entries, then the least recently used ones beyond `entries` and `max_bytes`."""
        now, places, left = time.time(), self.entries, self.max_bytes
        for used, size, entry in sorted(self._list_entries(), reverse=True):
            places, left = places - 1, left - size
            if places < 0 or left < 0 or used <= now - self.expiry_s:
                shutil.rmtree(entry, ignore_errors=True)

    def _list_entries(self) -> list[tuple[float, int, Path]]:
        """(time of the last use, bytes, folder) of each entry."""
        found = []
        with suppress(OSError):
            for entry in self.folder.iterdir():
                if entry.name.startswith(WORK_PREFIX):
                    continue  # it is being written
                with suppress(OSError):
                    size = sum(file.stat().st_size for file in entry.iterdir())
                    found.append((entry.stat().st_mtime, size, entry))
        return found


def _verify_checksums(entry: Path) -> None:
    """Raise ValueError or OSError unless the entry's files are those that were written."""
    checksums = json.loads((entry / _CHECKSUMS).read_text(encoding="utf-8"))
    if checksums.keys() | {_CHECKSUMS} != {file.name for file in entry.iterdir()}:
        raise ValueError("files are missing, or more than were written")
    for name, digest in checksums.items():
        if file_sha256(entry / name) != digest:
            raise ValueError(f"{name} was changed")
