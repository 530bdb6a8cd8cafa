"""Stored results: one folder each, named by a random id that other visitors cannot guess."""

import re
import shutil
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from fantasyportrait.core.errors import OutputError, RequestError
from fantasyportrait.media.result_files import REQUEST, output_paths

_ID = re.compile("[0-9a-f]{32}")


@dataclass(frozen=True)
class Entry:
    """A finished result. `created_s` is in seconds since 1970."""

    id: str
    folder: Path
    video: Path
    side_by_side: Path | None
    request: Path
    created_s: float


class History:
    """The results in one folder. Subfolders that are not named by such an id are ignored."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def new(self, name: str = "result.mp4") -> Path:
        """Make a folder for a result, and return the path for its video."""
        folder = self.folder / uuid.uuid4().hex
        try:
            folder.mkdir(parents=True)
        except OSError as error:
            raise OutputError(f"the results folder {self.folder} cannot be used ({error.strerror})") from error
        return folder / name

    def entries(self) -> tuple[Entry, ...]:
        """The finished results, newest first."""
        found = [entry for folder in self._folders() if (entry := _entry(folder))]
        return tuple(sorted(found, key=lambda entry: (entry.created_s, entry.id), reverse=True))

    def delete(self, entry_id: str) -> None:
        """Remove a result with its folder; `RequestError` for an unknown id."""
        folder = self.folder / entry_id
        if not _ID.fullmatch(entry_id) or not folder.is_dir():
            raise RequestError(f"there is no result {entry_id!r}: it may have expired")
        shutil.rmtree(folder, ignore_errors=True)

    def expire(self, older_than_s: float, now_s: float | None = None) -> int:
        """Remove the folders last changed more than `older_than_s` ago, unfinished ones too; return how many."""
        limit = (time.time() if now_s is None else now_s) - older_than_s
        old = [folder for folder in self._folders() if _changed_s(folder) < limit]
        for folder in old:
            shutil.rmtree(folder, ignore_errors=True)
        return len(old)

    def _folders(self) -> list[Path]:
        if not self.folder.is_dir():
            return []
        return [folder for folder in self.folder.iterdir() if _ID.fullmatch(folder.name) and folder.is_dir()]


def _changed_s(folder: Path) -> float:
    """When the folder last changed; another thread may have deleted it meanwhile."""
    try:
        return folder.stat().st_mtime
    except FileNotFoundError:
        return float("inf")


def _entry(folder: Path) -> Entry | None:
    """The result in `folder`, or None where a run has not finished."""
    for request in folder.glob(f"*{REQUEST}"):
        video = folder / request.name.removesuffix(REQUEST)
        if video.exists():
            side = output_paths(video).side_by_side
            created = video.stat().st_mtime
            return Entry(folder.name, folder, video, side if side.exists() else None, request, created)
    return None
