"""Files of the user's machine: the cache folder, sha256 of a file, opening of regular files only."""

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
# Opening must not block, follow a link that replaced the file after the check, or pass the descriptor to child
# processes. Windows has only O_BINARY, without which it opens files as text.
_FLAGS = ("O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY", "O_BINARY")


def open_regular(path: Path, *, follow: bool = True) -> BinaryIO:
    """Open a regular file for reading, without blocking. `follow`: accept a symbolic link to one.

    Raises OSError where there is no file, and for a folder, named pipe, socket or device; `strerror` names the kind.
    """
    if "\0" in str(path):
        raise OSError(errno.EINVAL, "its name holds a NUL character", str(path))
    # Checked before opening, which can change a device or release the process that writes to a pipe.
    _check_regular(path, os.stat(path, follow_symlinks=follow).st_mode)
    flags = os.O_RDONLY | (0 if follow else getattr(os, "O_NOFOLLOW", 0))
    for name in _FLAGS:
        flags |= getattr(os, name, 0)
    # By `open` with an opener, so that `file.name` is the path and not the descriptor's number.
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
    """The program's folder in the platform's user cache. It may not exist yet."""
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
