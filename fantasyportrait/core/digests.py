"""sha256 of input files, taken once for each version of a file and carried with its path."""

import os
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from fantasyportrait.core.errors import MediaError
from fantasyportrait.core.files import file_sha256, open_regular, read_sha256

# Far more than one request names, and a bound for an app that runs for months.
_MAX_FILES = 256

FileVersion = tuple[int, ...]
"""Device, inode, size, and the times of the last change of contents and of status, in nanoseconds."""


@dataclass(frozen=True)
class HashedFile:
    """A file with the sha256 of its bytes in hexadecimal, and its version when they were read."""

    path: Path
    sha256: str
    version: FileVersion

    def has_changed(self) -> bool:
        """Whether the file now holds other bytes or is gone. They are read only where the version is another one."""
        try:
            return _version(self.path) != self.version and file_sha256(self.path) != self.sha256
        except OSError:
            return True

    def check_unchanged(self) -> None:
        """Raise `MediaError` where the file now holds other bytes."""
        if self.has_changed():
            raise MediaError("{path} was changed while it was read: run the request again", path=self.path)


def hash_file(path: Path) -> HashedFile:
    """Read and hash a file. Raises `MediaError` where it cannot be read, or changes meanwhile."""
    try:
        with open_regular(path) as file:
            version = _version(file.fileno())
            hashed = HashedFile(path, read_sha256(file), version)
            changed = _version(file.fileno()) != version
    except OSError as error:
        raise MediaError(
            "cannot read {path}: {reason}; check the path", path=path, reason=error.strerror or error
        ) from error
    if changed:
        raise MediaError("{path} was changed while it was read: wait until it is complete", path=path)
    return hashed


class FileHasher:
    """Hashes each version of a file once; the files used last are remembered. Thread-safe."""

    def __init__(self) -> None:
        self._files: OrderedDict[tuple[Path, FileVersion], HashedFile] = OrderedDict()
        self._lock = threading.Lock()

    def hashed(self, path: Path) -> HashedFile:
        """The file with its sha256. Raises `MediaError` where it cannot be read."""
        with self._lock:
            file = self._known(path)
        if file is None:
            file = hash_file(path)  # without the lock, so that other threads need not wait
            with self._lock:
                self._files[path, file.version] = file
                while len(self._files) > _MAX_FILES:
                    self._files.popitem(last=False)
        return file

    def _known(self, path: Path) -> HashedFile | None:
        try:
            key = path, _version(path)
        except (OSError, ValueError):  # hashing it raises the error that says why
            return None
        if key in self._files:
            self._files.move_to_end(key)
        return self._files.get(key)


def _version(file: Path | int) -> FileVersion:
    state = os.stat(file)
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns
