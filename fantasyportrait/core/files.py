"""Files of the user's machine: where caches lie, and what a file's sha256 is."""

import hashlib
import os
import sys
from pathlib import Path

_CHUNK_BYTES = 1 << 20


def user_cache() -> Path:
    """The program's folder in the user's cache, where the platform keeps it. It may not exist yet."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    elif sys.platform == "darwin":
        base = "~/Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "fantasyportrait"


def file_sha256(path: Path, salt: str = "") -> str:
    """sha256 in hexadecimal of `salt` and the file's bytes, read in pieces. Raises OSError."""
    digest = hashlib.sha256(salt.encode())
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
