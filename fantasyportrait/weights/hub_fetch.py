"""`weights fetch NAME`: report the size, check the free space, fetch, verify, and record the files."""

import fnmatch
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fantasyportrait.core.errors import OutputError, RequestError, WeightsError
from fantasyportrait.core.files import file_sha256
from fantasyportrait.core.suggest import did_you_mean
from fantasyportrait.weights.catalog import SMALL_MODELS
from fantasyportrait.weights.hub import download_file, is_offline, read_repo_info
from fantasyportrait.weights.hub_catalog import HUB_MODELS, HubModel, with_dependencies
from fantasyportrait.weights.hub_manifest import Snapshot, SnapshotFile, git_sha1, hub_state, write_manifest
from fantasyportrait.weights.store import fetch_models, models_dir

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoSibling

Say = Callable[[str], None]


@dataclass(frozen=True)
class _Download:
    """One download: its row and folder, the hub's commit, the files that belong to it, the bytes still to come."""

    row: HubModel
    target: Path
    commit: str
    files: tuple["RepoSibling", ...]
    bytes_left: int


def fetch_named(
    names: Iterable[str] | None = None, folder: Path | None = None, progress: Say | None = None
) -> tuple[Path, ...]:
    """Fetch and verify the named models of either catalog in `folder`; without names, the small ones.

    Returns the small models' files and the hub rows' folders. `progress` gets a sentence before each step. Raises
    `RequestError` for an unknown name, before anything is fetched, and what `fetch_models` and `fetch_hub` raise.
    """
    if names is None:
        return fetch_models(None, folder, progress)
    wanted, small, hub = list(names), [model.name for model in SMALL_MODELS], [row.name for row in HUB_MODELS]
    unknown = [name for name in wanted if name not in small and name not in hub]
    if unknown:
        hint = did_you_mean(unknown[0], [*small, *hub])
        raise RequestError(
            "there is no model named {unknown!r}{hint}: known are {names}",
            unknown=unknown[0],
            hint=hint,
            names=", ".join([*small, *hub]),
        )
    paths = fetch_models([name for name in wanted if name in small], folder, progress)
    return paths + fetch_hub([name for name in wanted if name in hub], folder, progress)


def fetch_hub(names: Iterable[str], folder: Path | None = None, progress: Say | None = None) -> tuple[Path, ...]:
    """Fetch the named rows of the hub's catalog, and those they need, into the models folder and verify them.

    Before the first byte it reports the size, the target and the free space, and refuses with `OutputError` what does
    not fit. A broken connection is resumed; after a stop, finished files are kept and the unfinished one starts again.
    Every file's size and digest are compared with the hub's; a wrong one is deleted.
    Raises `WeightsError` when the hub cannot be reached or a file is not right.
    """
    say = progress or (lambda sentence: None)
    target = folder or models_dir()
    rows = with_dependencies(tuple(names))
    downloads = []
    for row in rows:
        state = hub_state(row, target)
        if state.state == "ok":
            say(f"{row.name} is in {state.folder} (commit {(state.commit or '')[:12]}): reading its files to be sure")
            state = hub_state(row, target, read=True)
        if state.state != "ok":
            downloads.append(_plan_download(row, state.folder))
    _check_space(downloads, target, say)
    for download in downloads:
        _fetch(download, say)
    return tuple(dict.fromkeys(target / row.folder for row in rows))


def _plan_download(row: HubModel, target: Path) -> _Download:
    if is_offline():
        raise WeightsError(
            "{name} is not complete in {target} and HF_HUB_OFFLINE forbids the hub: unset it to fetch",
            name=row.name,
            target=target,
        )
    info = read_repo_info(row.repo, row.revision)
    commit, listed = str(info.sha), {file.rfilename: file for file in info.siblings or ()}
    absent = [want for want in row.files if not any(fnmatch.fnmatchcase(path, want) for path in listed)]
    if absent:
        raise WeightsError(
            "{repo} has no {absent} at {commit}: a newer version may know where it is",
            repo=row.repo,
            absent=absent[0],
            commit=commit[:12],
        )
    wanted = [path for path in listed if any(fnmatch.fnmatchcase(path, want) for want in row.files)]
    outside = [path for path in wanted if ".." in Path(path).parts or Path(path).is_absolute()]
    if outside:
        raise WeightsError(
            "{repo} lists {outside}, which leads out of the models folder: it is refused",
            repo=row.repo,
            outside=outside[0],
        )
    files = tuple(listed[path] for path in wanted)
    left = sum(file.size or 0 for file in files if _size(target / file.rfilename) != file.size)
    return _Download(row, target, commit, files, left)


def _check_space(downloads: list[_Download], target: Path, say: Say) -> None:
    """Report the download and refuse it where it does not fit; sizes in GB as on the hub, 10^9 bytes."""
    standing = next(path for path in (target, *target.absolute().parents) if path.exists())
    free = shutil.disk_usage(standing).free
    for download in downloads:
        whole = sum(file.size or 0 for file in download.files)
        say(
            f"{download.row.name}: {_gb(download.bytes_left)} of {_gb(whole)} to fetch from {download.row.repo} "
            f"(commit {download.commit[:12]}, {download.row.licence}) into {download.target}; {_gb(free)} are free"
        )
    total = sum(download.bytes_left for download in downloads)
    if total > free:
        raise OutputError(
            "{total} are to be fetched and {target} has {free} free: free some space, "
            "or choose another disk with --models-dir",
            total=_gb(total),
            target=target,
            free=_gb(free),
        )


def _fetch(download: _Download, say: Say) -> None:
    write_manifest(download.target, download.row.name, Snapshot(download.row.repo, download.commit, {}))
    verified: dict[str, SnapshotFile] = {}
    for number, file in enumerate(download.files, start=1):
        say(f"{download.row.name}: file {number} of {len(download.files)}, {file.rfilename} ({_gb(file.size or 0)})")
        verified[file.rfilename] = _fetch_file(download, file, say)
    write_manifest(download.target, download.row.name, Snapshot(download.row.repo, download.commit, verified))


def _fetch_file(download: _Download, file: "RepoSibling", say: Say) -> SnapshotFile:
    """Return the verified file, fetched if it is missing, and fetched again if it differs from the hub's."""
    known = download.target / file.rfilename
    if known.is_file():
        right = _verified(known, file)
        if right is not None:
            return right
        say(f"{known} is not the file of the hub (size or digest differ): deleted, fetching it again")
        known.unlink()
    path = download_file(download.row.repo, download.commit, file.rfilename, download.target)
    right = _verified(path, file)
    if right is None:
        path.unlink()
        raise WeightsError(
            "{path} as it arrived was not the file that the hub lists (size or digest differ) and was deleted: "
            "run the command again, over another network if that recurs",
            path=path,
        )
    return right


def _verified(path: Path, file: "RepoSibling") -> SnapshotFile | None:
    """Return the size and sha256 of the file if they equal those of the hub."""
    size = path.stat().st_size
    if size != file.size or (file.lfs is None and file.blob_id not in (None, git_sha1(path))):
        return None
    digest = file_sha256(path)
    return SnapshotFile(size, digest) if file.lfs is None or file.lfs.sha256 == digest else None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 100_000_000 else f"{size / 1e6:.1f} MB"
