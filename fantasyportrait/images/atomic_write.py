"""Files appear whole or not at all: written beside their place under another name, then renamed."""

import errno
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from fantasyportrait.core.errors import OutputError
from fantasyportrait.core.locked_folder import locked_folder

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def output_errors(path: Path) -> Iterator[None]:
    """Turn an OSError of the block, which writes `path`, into an OutputError that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in _DISK_FULL:
            text = "the disk is full; free some space and run it again"
        elif isinstance(error, FileNotFoundError):
            text = f"the folder {path.parent} does not exist; make it first"
        else:
            text = f"{error.strerror or error}; choose another place"
        raise OutputError(f"cannot write {path}: {text}") from error


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A path of the same name in a hidden folder beside `path`, where the block makes a file or a folder.

    It is moved to `path` at a clean exit and removed after an exception. Raises `OutputError`.
    """
    with ExitStack() as stack:
        with output_errors(path):
            partial = stack.enter_context(locked_folder(path.parent)) / path.name
        yield partial
        with output_errors(path):
            if path.is_dir():
                path.rmdir()  # only an empty one: elsewhere a rename onto it would fail
            os.replace(partial, path)


class OutputFile:
    """A file for PyAV to write: a short write goes on until the disk says why, and a closed file gets no index."""

    def __init__(self, path: Path) -> None:
        self.name = str(path.absolute())
        self._raw = path.open("w+b", buffering=0)
        self.seek, self.tell, self.read = self._raw.seek, self._raw.tell, self._raw.read

    @property
    def closed(self) -> bool:
        return self._raw.closed

    def write(self, data: bytes) -> int:
        view = memoryview(data)
        while view:
            view = view[self._raw.write(view) :]
        return len(data)

    def close(self) -> None:
        self._raw.close()
