"""Files of the user's machine: where caches lie, what a file's sha256 is, and what is no file at all."""

import errno
import hashlib
import os
import stat
import sys
from pathlib import Path
from typing import BinaryIO

_CHUNK_BYTES = 1 << 20
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFLNK: "a symbolic link",
}
# Opening must not wait for another process, follow a link that is put in the file's place, or leave the descriptor to
# child processes. Windows has none of these and opens as text without the last one.
_FLAGS = ("O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY", "O_BINARY")


def open_regular(path: Path, *, follow: bool = True) -> BinaryIO:
    """Open a regular file for reading, without ever waiting for it. `follow`: a symbolic link to one will do.

    Raises OSError where there is none, and for a folder, named pipe, socket or device, which its `strerror` names.
    """
    if "\0" in str(path):
        raise OSError(errno.EINVAL, "its name holds a NUL character", str(path))
    # Looked at first: opening alone can change a device, or release the process that writes to a pipe.
    _check_regular(path, os.stat(path, follow_symlinks=follow).st_mode)
    flags = os.O_RDONLY | (0 if follow else getattr(os, "O_NOFOLLOW", 0))
    for name in _FLAGS:
        flags |= getattr(os, name, 0)
    # Through `open`, so that the file's name is its path and not a descriptor's number.
    file = open(os.fspath(path), "rb", opener=lambda *_: os.open(path, flags))  # noqa: SIM115 - it is returned open
    try:
        _check_regular(path, os.fstat(file.fileno()).st_mode)
    except BaseException:
        file.close()
        raise
    return file


def _check_regular(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "a special file")
        raise OSError(errno.EINVAL, f"it is {kind}, not a regular file", str(path))


def user_cache_dir() -> Path:
    """The program's folder in the user's cache, where the platform keeps it. It may not exist yet."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    elif sys.platform == "darwin":
        base = "~/Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "fantasyportrait"


def file_sha256(path: Path) -> str:
    """sha256 in hexadecimal of the file's bytes. Raises OSError, see `open_regular`."""
    with open_regular(path) as file:
        return read_sha256(file)


def read_sha256(file: BinaryIO) -> str:
    """sha256 in hexadecimal of the bytes from the position of an open file on, read in pieces. Raises OSError."""
    digest = hashlib.sha256()
    while chunk := file.read(_CHUNK_BYTES):
        digest.update(chunk)
    return digest.hexdigest()
