"""The uploads of each session: the page may name files that its session uploaded, and no others."""

import os
import threading
from collections.abc import Iterable
from pathlib import Path

from fantasyportrait.core.errors import RequestError
from fantasyportrait.core.files import open_regular

MAX_UPLOAD_BYTES = 200 * 1024 * 1024
MAX_PATH_LENGTH = 4096
REFUSED = "this file is not here: it was not uploaded on this page, or it has expired; upload it again"


class UploadRegistry:
    """The uploads and the sessions that own them. Threads may share it.

    Guarantees of `authorize`: the path is one that the upload route returned; no other session has used it first; it
    lies in the upload folder, no part of it is a symbolic link, and on the opened descriptor it is a regular file of
    at most `max_bytes`. Every other path, present or not, gets the same error.

    The upload route does not get the session. So an upload belongs to the first session that names it: its path holds
    a digest of its content, and the server returns it to the uploader alone, which names it at once. The same file
    uploaded by two visitors has one path; each upload admits one more session.
    """

    def __init__(self, folder: Path, max_bytes: int = MAX_UPLOAD_BYTES) -> None:
        self.folder = folder.resolve()
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._unowned: dict[str, int] = {}
        self._owners: dict[str, set[str]] = {}

    def register(self, paths: Iterable[str]) -> None:
        """Register uploads by their paths on the server."""
        with self._lock:
            for path in paths:
                self._unowned[path] = self._unowned.get(path, 0) + 1

    def owns(self, session: str, path: object) -> bool:
        """True if `path` is an upload of this session; one that no session has named before becomes its own."""
        if not isinstance(path, str) or not session:
            return False
        with self._lock:
            owners = self._owners.get(path, set())
            if session in owners:
                return True
            if not self._unowned.get(path):
                return False
            self._unowned[path] -= 1
            self._owners[path] = owners | {session}
            return True

    def authorize(self, session: str, given: object) -> Path:
        """The path of an upload of this session, given as a path or as gradio's description of a file.

        Raises `RequestError`, in the same words for everything that is refused.
        """
        path = given.get("path") if isinstance(given, dict) else given
        if not isinstance(path, str) or not 0 < len(path) <= MAX_PATH_LENGTH or not self.owns(session, path):
            raise RequestError(REFUSED)
        try:
            self._check_file(path)
        except (OSError, ValueError) as error:
            raise RequestError(REFUSED) from error
        return Path(path)

    def remove_expired(self) -> None:
        """Remove uploads whose files have expired."""
        with self._lock:
            for known in (self._unowned, self._owners):
                for path in [path for path in known if not os.path.lexists(path)]:
                    del known[path]

    def _check_file(self, path: str) -> None:
        """Raise OSError or ValueError where the file is not as `authorize` says."""
        if os.path.realpath(path) != path or not Path(path).is_relative_to(self.folder):
            raise ValueError(path)
        named = os.lstat(path)
        with open_regular(Path(path), follow=False) as file:
            opened = os.fstat(file.fileno())
        if (opened.st_dev, opened.st_ino) != (named.st_dev, named.st_ino) or opened.st_size > self._max_bytes:
            raise ValueError(path)
