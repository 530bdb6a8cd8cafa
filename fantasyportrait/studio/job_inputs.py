"""The files of a job under the visitor's names, and its request as texts to copy."""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from fantasyportrait.core.atomic_write import atomic_write
from fantasyportrait.core.files import open_regular
from fantasyportrait.core.sentences import with_values
from fantasyportrait.media.request_files import load_request
from fantasyportrait.media.result_files import output_paths
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.schema.request_text import command_text, python_text, without_server
from fantasyportrait.studio.session_store import SHOWN, Session, new_id, save_text

VIDEO_NAME = "fantasyportrait.mp4"
INPUTS = ".inputs"
"""A folder that is not served: its name begins with a dot."""
TEXTS, REQUEST = "texts.json", "request.json"
MAX_NAME_BYTES = 200


def link_inputs(request: AnimationRequest, names: Mapping[str, str], folder: Path) -> AnimationRequest:
    """The request with its files in `folder`/.inputs under the visitor's names; raises OSError.

    Links where the file system has them, else copies. Two files of one name get different ones.
    """
    place = folder / INPUTS
    place.mkdir()
    linked: dict[Path, Path] = {}
    for file in request.files:
        if file not in linked:
            linked[file] = place / free_name(names.get(file.name, file.name), file.suffix, place)
            link_or_copy(file, linked[file])
    return request.with_paths(lambda path: linked.get(path, path))


def free_name(name: str, suffix: str, folder: Path) -> str:
    """A file name like the visitor's, with the `suffix` of our own file, that is not taken in `folder`."""
    plain = "".join(letter for letter in name if letter.isprintable() and letter not in '/\\\\:*?"<>|').lstrip(".")
    stem = plain[: -len(suffix)] if suffix and plain.lower().endswith(suffix) else plain
    stem = stem.encode()[:MAX_NAME_BYTES].decode(errors="ignore").strip() or "file"
    number, free = 1, f"{stem}{suffix}"
    while (folder / free).exists():
        number += 1
        free = f"{stem}-{number}{suffix}"
    return free


def link_or_copy(file: Path, target: Path) -> None:
    """Make `target` the same file, or a copy where the file system has no links; raises OSError."""
    try:
        os.link(file, target)
    except OSError:
        with atomic_write(target) as made, open_regular(file, follow=False) as source, made.open("wb") as copy:
            shutil.copyfileobj(source, copy)


def link_file(session: Session, file: Path) -> str:
    """Link a picture of the session under another name; returns its path in the folder, empty where it is gone."""
    name = f"{SHOWN}/{new_id()}{file.suffix}"
    try:
        link_or_copy(file, session.path(name))
    except OSError:
        return ""
    return name


def save_texts(folder: Path) -> None:
    """Write the request of the result in `folder` as the visitor may copy it: as JSON, command and Python program."""
    paths = output_paths(folder / VIDEO_NAME)
    # The run itself makes no side by side, which is made afterwards.
    request = replace(without_server(load_request(paths.request)), side_by_side=True)
    output = Path(f"{request.files[0].stem}.animated.mp4")
    texts = {
        "json": request.to_json(),
        "command": command_text(request, output),
        "python": python_text(request, output),
    }
    save_text(folder / TEXTS, json.dumps(texts))
    save_text(folder / REQUEST, texts["json"])


def plain_text(text: str, folder: Path) -> str:
    """A sentence about a result in `folder`, without the path of the folder and of its inputs."""
    paths = f"{folder / INPUTS}{os.sep}", f"{folder}{os.sep}"
    return with_values(text, lambda part: part.replace(paths[0], "").replace(paths[1], ""))
