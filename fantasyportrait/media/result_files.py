"""The files of a result: up to four in one folder, written in a hidden folder and moved in place together."""

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from fantasyportrait.core.errors import OutputError, RequestError
from fantasyportrait.core.locked_folder import folder_lock, locked_folder
from fantasyportrait.core.sentences import with_values

SUFFIXES = (".mp4", ".webm", ".gif", "")
SIDE_BY_SIDE, REQUEST, PORTRAIT = ".side-by-side.mp4", ".request.json", ".portrait.png"
MAX_NAME_BYTES = 255
"""Limit of a file name on most file systems."""


@dataclass(frozen=True)
class OutputPaths:
    """The files of one result: out.mp4, out.mp4.side-by-side.mp4, out.mp4.request.json.

    And out.mp4.portrait.png, for a portrait that was a picture in memory.
    """

    video: Path
    side_by_side: Path
    request: Path
    portrait: Path


def output_paths(video: Path) -> OutputPaths:
    """The paths beside `video`. Raises `RequestError` for an unknown suffix or too long a name."""
    if video.suffix.lower() not in SUFFIXES or not video.name:
        raise RequestError(
            "the output {video} ends in {suffix!r}: end it in .mp4, .webm or .gif, or in nothing for a folder "
            "of PNG frames",
            video=video,
            suffix=video.suffix,
        )
    size = len(os.fsencode(video.name))
    if size > MAX_NAME_BYTES:
        raise RequestError(
            "the name of the output has {size} bytes: give one of at most {max_name_bytes}",
            size=size,
            max_name_bytes=MAX_NAME_BYTES,
        )
    return OutputPaths(
        video, *(video.with_name(_long_name(video.name, tail)) for tail in (SIDE_BY_SIDE, REQUEST, PORTRAIT))
    )


def free_path(video: Path, overwrite: bool = False) -> Path:
    """`video`, or the first of out-2.mp4, out-3.mp4 ... that does not exist; too long a name is shortened.

    `overwrite` returns the first name even where it exists.
    """
    number = 1
    while True:
        tail = f"{'' if number == 1 else f'-{number}'}{video.suffix}"
        path = video.with_name(_long_name(video.stem, tail))
        if overwrite or not os.path.lexists(path):
            return path
        number += 1


def check_output_paths(paths: OutputPaths, inputs: Sequence[Path], saves_portrait: bool = False) -> None:
    """Refuse an output that overwrites an input, whose folder does not exist, or that is a folder with other files.

    `saves_portrait`: the portrait is a picture in memory, which is saved too.
    """
    folder = paths.video.parent
    if not folder.is_dir():
        raise OutputError("the output's folder {folder} does not exist: make it, or choose another", folder=folder)
    written = [paths.video, paths.side_by_side, paths.request, *([paths.portrait] if saves_portrait else [])]
    targets = {path.resolve() for path in written}
    for path in inputs:
        if path.resolve() in targets:
            raise RequestError("the output would overwrite its input {path}: choose another name", path=path)
    if paths.video.is_dir() and (paths.video.suffix or any(paths.video.iterdir())):
        raise OutputError("the output {video} is a folder that is not empty: choose another name", video=paths.video)
    if not paths.video.suffix and paths.video.exists() and not paths.video.is_dir():
        raise OutputError(
            "the output {video} is a file, and PNG frames go into a folder: choose another name", video=paths.video
        )
    for path in (paths.side_by_side, paths.request):
        if path.is_dir():
            raise OutputError("{path} is a folder where a file of the result would go: choose another name", path=path)


@contextmanager
def staging_folder(paths: OutputPaths) -> Iterator[Path]:
    """A hidden folder beside the output, removed at the end, also after an error. OSErrors become `OutputError`."""
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(locked_folder(paths.video.parent))
            yield folder
        except OutputError as error:
            # The user knows the output's folder, not the hidden one in it.
            own, known = str(folder), str(paths.video.parent)
            raise OutputError(with_values(error.sentence, lambda part: part.replace(own, known))) from error
        except OSError as error:
            raise _refusal(paths, error) from error


def commit_outputs(made: Path, paths: OutputPaths) -> None:
    """Move the files of a result from the folder `made`, where they have their final names, in place together.

    Files of an earlier result that the new one lacks are removed, except its portrait. Where one step fails, all steps
    are undone and OSError is raised; `OutputError` where another run has filled the folder of frames meanwhile.
    """
    before = made / "before.replaced"  # not a possible name of an output
    before.mkdir()
    with folder_lock(paths.video.parent):
        if paths.video.is_dir() and any(paths.video.iterdir()):
            raise OutputError("{video} was filled by another run meanwhile: choose another name", video=paths.video)
        with ExitStack() as undo:
            # The video first, since its step may be refused.
            for number, final in enumerate((paths.video, paths.side_by_side, paths.request)):
                _replace(made / final.name, final, before / str(number), undo)
            # Without a new one the earlier one stays: it may be the input of this request.
            if (made / paths.portrait.name).exists():
                _replace(made / paths.portrait.name, paths.portrait, before / "portrait", undo)
            undo.pop_all()


def _replace(made: Path, final: Path, kept: Path, undo: ExitStack) -> None:
    """Replace `final` by `made`, or remove it where `made` does not exist; `undo` gets callbacks that restore it."""
    if final.is_dir():
        final.rmdir()
        undo.callback(final.mkdir)
    elif os.path.lexists(final):
        try:
            os.link(final, kept, follow_symlinks=False)
        except (OSError, NotImplementedError):  # no links on this file system
            os.rename(final, kept)
        undo.callback(os.replace, kept, final)
    if made.exists():
        os.replace(made, final)
        if not kept.exists():
            undo.callback(_remove, final)
    else:
        final.unlink(missing_ok=True)


def _remove(path: Path) -> None:
    """Remove a file or a folder of frames."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _long_name(stem: str, tail: str) -> str:
    """`stem` + `tail`; where that is too long, the stem is cut between two characters and ends in its digest."""
    if len(os.fsencode(stem + tail)) <= MAX_NAME_BYTES:
        return stem + tail
    digest = "~" + hashlib.sha256(os.fsencode(stem)).hexdigest()[:8]
    room = MAX_NAME_BYTES - len(os.fsencode(digest + tail))
    short = stem
    while len(os.fsencode(short)) > room:
        short = short[:-1]
    return short + digest + tail


def _refusal(paths: OutputPaths, error: OSError) -> OutputError:
    return OutputError(
        "cannot write {video}: {reason}; free some space or choose another place",
        video=paths.video,
        reason=error.strerror or error,
    )
