"""Opening of input files: once, without blocking, and only regular files."""

import io
import os
from pathlib import Path, PosixPath
from typing import BinaryIO, cast

from fantasyportrait.core.errors import MediaError
from fantasyportrait.core.files import open_regular


class DescriptorPath(PosixPath):
    """A path for messages, with the descriptor of the file, which another process opened."""

    descriptor: int


class _DescriptorFile(io.RawIOBase):
    """Reads a descriptor with its own position, so that two readers can share it."""

    def __init__(self, name: str, descriptor: int) -> None:
        self.name, self._descriptor, self._at = name, descriptor, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        data = os.pread(self._descriptor, len(buffer), self._at)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at}.get(whence)
        self._at = max(0, offset + (os.fstat(self._descriptor).st_size if base is None else base))
        return self._at


def open_file(path: Path) -> BinaryIO:
    """The file for reading. Raises MediaError where it is missing or not a regular file, such as a pipe or a device."""
    if isinstance(path, DescriptorPath):
        return cast(BinaryIO, io.BufferedReader(_DescriptorFile(str(path), path.descriptor)))
    try:
        return open_regular(path)
    except OSError as error:
        raise MediaError(
            "cannot open {path}: {reason}; check the path", path=path, reason=error.strerror or error
        ) from error
