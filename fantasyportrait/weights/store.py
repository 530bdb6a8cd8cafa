"""The models folder: a path is returned only after the file's sha256 was compared with the catalog's."""

import hashlib
import os
import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from fantasyportrait.core.atomic_write import atomic_write
from fantasyportrait.core.errors import WeightsError
from fantasyportrait.core.files import file_sha256, user_cache_dir
from fantasyportrait.weights.catalog import SMALL_MODELS, SmallModel, small_model
from fantasyportrait.weights.fetch import Downloads

MODELS_DIR_VARIABLE = "FANTASYPORTRAIT_MODELS_DIR"


@dataclass(frozen=True)
class ModelState:
    """The state in the models folder of one row of the catalog."""

    model: SmallModel
    path: Path
    state: Literal["ok", "missing", "wrong"]


def models_dir() -> Path:
    """The folder of the model files: $FANTASYPORTRAIT_MODELS_DIR, or one in the user's cache. It may not exist yet."""
    chosen = os.environ.get(MODELS_DIR_VARIABLE)
    return Path(chosen).expanduser().absolute() if chosen else user_cache_dir() / "models"


def fetch_command(names: str = "", folder: Path | None = None) -> str:
    """The command that puts the named models (default: the small ones) into the models folder `folder`, for hints."""
    words = ["fantasyportrait weights fetch", *([names] if names else [])]
    if folder is not None and folder.absolute() != models_dir().absolute():
        words.append(f"--models-dir {shlex.quote(str(folder))}")
    return " ".join(words)


def model_path(name: str, *, folder: Path | None = None, fetch: bool = True) -> Path:
    """Path of a verified model file. A missing one is fetched, or with `fetch` False refused with `WeightsError`."""
    model = small_model(name)
    path = (folder or models_dir()) / model.filename
    state = _state(path, model)
    if state == "ok":
        return path
    if fetch:
        return fetch_models([name], path.parent)[0]
    if state == "wrong":
        path.unlink(missing_ok=True)
        raise WeightsError(
            "{path} was not the file of the catalog (its sha256 differs) and was deleted: run  {command}",
            path=path,
            command=fetch_command(name, path.parent),
        )
    raise WeightsError(
        "the model {name} is not in {parent}: run  {command}",
        name=name,
        parent=path.parent,
        command=fetch_command(name, path.parent),
    )


def fetch_models(
    names: Iterable[str] | None = None, folder: Path | None = None, progress: Callable[[str], None] | None = None
) -> tuple[Path, ...]:
    """Fetch and verify the named models (default: all) in `folder`, and return their paths in the same order.

    `progress` gets a sentence before each download. A file with a wrong sha256, found or fetched, is deleted.
    Raises `WeightsError` that lists every source tried when none gave the right file.
    """
    say = progress or (lambda sentence: None)
    root = folder or models_dir()
    models = SMALL_MODELS if names is None else tuple(small_model(name) for name in names)
    with Downloads(say) as downloads:
        return tuple(_ensure(model, root / model.filename, downloads, say) for model in models)


def verify_models(folder: Path | None = None) -> tuple[ModelState, ...]:
    """Read and return the state of every row of the catalog in `folder`; nothing is fetched or deleted."""
    root = folder or models_dir()
    _digest.cache_clear()
    return tuple(
        ModelState(model, root / model.filename, _state(root / model.filename, model)) for model in SMALL_MODELS
    )


def _ensure(model: SmallModel, path: Path, downloads: Downloads, say: Callable[[str], None]) -> Path:
    """Return `path` if the file is right; else download it from the first source with the right bytes."""
    state = _state(path, model)
    if state == "ok":
        return path
    if state == "wrong":
        say(f"{path} is not the file of the catalog (its sha256 differs): deleted, fetching it again")
        path.unlink(missing_ok=True)
    failures: list[str] = []
    for source in model.sources:
        try:
            data = downloads.read(source)
        except WeightsError as error:
            failures.append(f"{source}: {error}")
            continue
        found = hashlib.sha256(data).hexdigest()
        if found == model.sha256:
            _write(path, data)
            return path
        failures.append(
            f"{source}: refused, its {model.filename} has sha256 {found[:12]}..., not {model.sha256[:12]}..."
        )
    raise WeightsError(
        f"the model {model.name} could not be fetched.\n  " + "\n  ".join(failures) + "\n"
        f"Run  {fetch_command(model.name, path.parent)}  when the network is there, or set {MODELS_DIR_VARIABLE} "
        f"to a folder that holds {model.filename}"
    )


def _write(path: Path, data: bytes) -> None:
    """Write atomically, so that another process never sees a partial file."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as made:
            made.write_bytes(data)
            made.chmod(0o644)
    except OSError as error:
        raise WeightsError(
            "{path} cannot be written ({strerror}): free some space, "
            "or choose another folder with --models-dir or {models_dir_variable}",
            path=path,
            strerror=error.strerror,
            models_dir_variable=MODELS_DIR_VARIABLE,
        ) from error


def _state(path: Path, model: SmallModel) -> Literal["ok", "missing", "wrong"]:
    try:
        facts = path.stat()
    except OSError:
        return "missing"
    right = facts.st_size == model.size and _digest(path, facts.st_size, facts.st_mtime_ns) == model.sha256
    return "ok" if right else "wrong"


@cache
def _digest(path: Path, size: int, modified_ns: int) -> str:
    """sha256 of a file, read once for each state of it: size and time are the cache's key."""
    return file_sha256(path)
