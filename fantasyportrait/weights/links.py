"""Links to files and folders: hard links, symbolic links, or copies where neither is allowed."""

import os
import shutil
from pathlib import Path

from fantasyportrait.core.errors import OutputError

WEIGHTS = (".safetensors", ".onnx", ".bin", ".gguf")


def link_file(source: Path, target: Path, may_link: bool = True) -> None:
    """Make `target` the same file as `source`, replacing what was there; its folder is made too.

    It is a hard link, which costs nothing and survives the source's deletion; across disks a symbolic link; where the
    file system or the user's rights allow neither, or without `may_link`, a copy. Raises `OutputError` when that fails.
    """
    real = source.resolve()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if not (may_link and _linked(real, target)):
            shutil.copy2(real, target)
    except OSError as error:
        raise OutputError(
            "{target} can be neither linked nor copied from {source} ({reason}): "
            "free some space, or put the models on one disk",
            target=target,
            source=source,
            reason=error.strerror or error,
        ) from error


def link_folder(source: Path, target: Path) -> None:
    """Link the weights under `source` and copy everything else, without hidden files.

    Configurations are copied because an edit in `target` would change `source` through a link.
    """
    for path in sorted(source.rglob("*")):
        inside = path.relative_to(source)
        if path.is_file() and not any(part.startswith(".") for part in inside.parts):
            link_file(path, target / inside, may_link=path.suffix in WEIGHTS)


def _linked(source: Path, target: Path) -> bool:
    for link in (os.link, os.symlink):
        try:
            link(source, target)
        except (OSError, NotImplementedError):
            continue  # try the next kind, and last a copy: only trying shows which one is allowed
        return True
    return False
