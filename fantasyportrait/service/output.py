"""Where a result goes: files beside one another, made in a hidden folder and moved in place when complete."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fantasyportrait.core.errors import OutputError, RequestError

SUFFIXES = (".mp4", ".webm", ".gif", "")


@dataclass(frozen=True)
class OutputPaths:
    """The files of one result: out.mp4, out.side-by-side.mp4, out.request.json.

    And out.portrait.png, for a portrait that was a picture in memory.
    """

    video: Path
    side_by_side: Path
    request: Path
    portrait: Path


def output_paths(video: Path) -> OutputPaths:
    """The paths beside `video`. Raises `RequestError` for a suffix that cannot be written."""
    if video.suffix.lower() not in SUFFIXES or not video.name:
        raise RequestError(
            f"the output {video} ends in {video.suffix!r}: end it in .mp4, .webm or .gif, or in nothing for a folder "
            "of PNG frames"
        )
    return OutputPaths(
        video,
        video.with_name(f"{video.stem}.side-by-side.mp4"),
        video.with_name(f"{video.stem}.request.json"),
        video.with_name(f"{video.stem}.portrait.png"),
    )


def check_place(paths: OutputPaths, inputs: Sequence[Path], saves_portrait: bool = False) -> None:
    """Refuse an output that would overwrite an input, lie in no folder, or mix with another folder's files.

    `saves_portrait`: the portrait is in memory and becomes a file too.
    """
    folder = paths.video.parent
    if not folder.is_dir():
        raise OutputError(f"the output's folder {folder} does not exist: make it, or choose another")
    written = [paths.video, paths.side_by_side, paths.request, *([paths.portrait] if saves_portrait else [])]
    targets = {path.resolve() for path in written}
    for path in inputs:
        if path.resolve() in targets:
            raise RequestError(f"the output would overwrite its input {path}: choose another name")
    if paths.video.is_dir() and (paths.video.suffix or any(paths.video.iterdir())):
        raise OutputError(f"the output {paths.video} is a folder that is not empty: choose another name")


@contextmanager
def workplace(paths: OutputPaths) -> Iterator[Path]:
    """A hidden folder beside the output, removed at the end whatever happens. Errors of the disk: `OutputError`."""
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{paths.video.stem}-", dir=paths.video.parent))
    except OSError as error:
        raise _refusal(paths, error) from error
    try:
        yield folder
    except OutputError as error:
        # The user knows the output's folder, not the hidden one in it.
        raise OutputError(str(error).replace(str(folder), str(paths.video.parent))) from error
    except OSError as error:
        raise _refusal(paths, error) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def publish(moves: Sequence[tuple[Path, Path]]) -> None:
    """Move each (made, final) pair in place; if one fails, those before it are taken away again."""
    moved: list[Path] = []
    try:
        for made, final in moves:
            if final.is_dir():
                final.rmdir()
            os.replace(made, final)
            moved.append(final)
    except OSError:
        for final in moved:
            shutil.rmtree(final) if final.is_dir() else final.unlink(missing_ok=True)
        raise


def _refusal(paths: OutputPaths, error: OSError) -> OutputError:
    return OutputError(
        f"cannot write {paths.video}: {error.strerror or error}; free some space or choose another place"
    )
