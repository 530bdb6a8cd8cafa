"""The manifest of files fetched from the hub, with which they are verified later without a network."""

import fnmatch
import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from fantasyportrait.core.atomic_write import atomic_write
from fantasyportrait.core.errors import OutputError
from fantasyportrait.core.files import file_sha256
from fantasyportrait.weights.hub_catalog import HUB_MODELS, HubModel
from fantasyportrait.weights.store import models_dir

MANIFEST = ".fetched.json"
State = Literal["ok", "partial", "wrong", "missing"]

_COMMIT_LENGTH = 40


@dataclass(frozen=True)
class SnapshotFile:
    """A file as it was when it was verified."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Snapshot:
    """One download: where it came from, and its files by their path in the folder; none yet when it has only begun."""

    repo: str
    commit: str
    files: dict[str, SnapshotFile]


@dataclass(frozen=True)
class HubState:
    """The state in the models folder of one row of the hub's catalog."""

    source: HubModel
    folder: Path
    state: State
    commit: str | None
    faulty: tuple[str, ...] = ()
    """The files that are missing or have changed."""


def hub_states(folder: Path | None = None, *, read: bool = False) -> tuple[HubState, ...]:
    """The state of every row in the models folder: by the files' sizes, or with `read` by their sha256 too.

    "partial" means that a download was begun and never finished, or came from another commit. Nothing is
    fetched or deleted.
    """
    return tuple(hub_state(row, folder, read=read) for row in HUB_MODELS)


def hub_state(row: HubModel, folder: Path | None = None, *, read: bool = False) -> HubState:
    """The state of one row, as `hub_states` gives it."""
    root = (folder or models_dir()) / row.folder
    manifest = read_manifest(root)
    fetched = _covering(row, manifest)
    if fetched is None:
        known = {path for record in manifest.values() for path in record.files}
        loose = (path.relative_to(root).as_posix() for pattern in row.files for path in root.glob(pattern))
        begun = row.name in manifest or any(path not in known for path in loose)
        return HubState(row, root, "partial" if begun else "missing", None)
    faulty = tuple(path for path, file in fetched.files.items() if not _is_right(root / path, file, read))
    gone = not any((root / path).exists() for path in fetched.files)
    return HubState(row, root, "missing" if gone else "wrong" if faulty else "ok", fetched.commit, faulty)


def read_manifest(folder: Path) -> dict[str, Snapshot]:
    """The finished downloads into a folder, by the row's name; one that cannot be read counts as none."""
    try:
        rows = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return {
            name: Snapshot(
                row["repo"], row["commit"], {path: SnapshotFile(**file) for path, file in row["files"].items()}
            )
            for name, row in rows.items()
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def write_manifest(folder: Path, name: str, fetched: Snapshot) -> None:
    """Write a download to the folder's manifest, replacing the row's entry. Raises `OutputError`."""
    rows = {key: asdict(row) for key, row in {**read_manifest(folder), name: fetched}.items()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(folder / MANIFEST) as made:
            made.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(
            "{folder} cannot be written ({strerror}): choose --models-dir",
            folder=folder / MANIFEST,
            strerror=error.strerror,
        ) from error


def git_sha1(path: Path) -> str:
    """The digest that git gives a file: sha1 of its size and its bytes; meant for small files, it reads them whole."""
    data = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def _covering(row: HubModel, manifest: dict[str, Snapshot]) -> Snapshot | None:
    """Return the row's files from a finished download of its repository, its own or that of a row with more files."""
    for fetched in manifest.values():
        files = {path: file for path, file in fetched.files.items() if _wanted(row, path)}
        complete = all(fnmatch.filter(files, pattern) for pattern in row.files)
        # A row with a commit needs that commit; "main" takes any that was fetched.
        same = fetched.repo == row.repo and (len(row.revision) != _COMMIT_LENGTH or fetched.commit == row.revision)
        if same and complete:
            return Snapshot(fetched.repo, fetched.commit, files)
    return None


def _wanted(row: HubModel, path: str) -> bool:
    return any(fnmatch.fnmatchcase(path, pattern) for pattern in row.files)


def _is_right(path: Path, file: SnapshotFile, read: bool) -> bool:
    try:
        return path.stat().st_size == file.size and (not read or file_sha256(path) == file.sha256)
    except OSError:
        return False
