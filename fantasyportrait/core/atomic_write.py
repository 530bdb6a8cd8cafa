"""Atomic writes: files and folders are made in a hidden folder beside their path, then renamed."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fantasyportrait.core.errors import OutputError
from fantasyportrait.core.locked_folder import locked_folder

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A path of the same name in a hidden folder beside `path`, at which the block makes a file or a folder.

    Without an exception it then replaces `path` in one step (a folder replaces only an empty one), else it is removed.
    The next write in the same folder removes what a killed process left, see `locked_folder`. Raises OSError.
    """
    with locked_folder(path.parent) as folder:
        made = folder / path.name
        yield made
        if path.is_dir():
            path.rmdir()  # fails unless it is empty; not every system renames over a folder
        os.replace(made, path)


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
        raise OutputError("cannot write {path}: {text}", path=path, text=text) from error
