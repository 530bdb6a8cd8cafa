"""Saved requests, read from a result's JSON file or from the metadata of a video."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from fantasyportrait.core.errors import MediaError, RequestError
from fantasyportrait.core.files import open_regular
from fantasyportrait.media.metadata import read_metadata
from fantasyportrait.schema.converters import StrPath, as_path
from fantasyportrait.schema.request import AnimationRequest, from_json

REQUEST_KEY = "description"
"""The key of a video's metadata that holds its request."""
EMBEDDING_SUFFIXES = (".mp4", ".webm", ".png")
MAX_REQUEST_BYTES = 4 << 20
"""Bytes of a saved request that are read."""


def load_request(path: StrPath, metadata: Callable[[Path], Mapping[str, str]] = read_metadata) -> AnimationRequest:
    """Read a saved request, or the one embedded in a video or a folder of PNG frames.

    Relative paths are relative to the folder of the file; of an embedded request only file names are used, looked
    up next to the video or the folder. `metadata` reads that of a video. Raises `RequestError`.
    """
    path = as_path(path, "path")
    if _embeds_request(path):
        # Names alone: anyone may have made the video.
        return _read(_embedded_text(path, metadata), path).with_paths(lambda given: path.parent / given.name)
    request, home = _read(_saved_text(path), path), path.parent.resolve()
    # The system follows a link before it goes up from it: up is from where the link leads.
    return request.with_paths(
        lambda given: Path(os.path.normpath(home / given)) if ".." in given.parts else path.parent / given
    )


def check_embedded(request: AnimationRequest, video: Path) -> None:
    """Raise `RequestError` where the request embedded in `video` names a file that is not in the video's folder."""
    if not _embeds_request(video):
        return
    for path in request.files:
        if path.parent == video.parent and not path.exists():
            raise RequestError(
                "{video} was made from {name}, which is not in its folder: put it there, or name the photo, "
                "each --cast or the --sound again",
                video=video,
                name=path.name,
            )


def _embeds_request(path: Path) -> bool:
    return path.is_dir() or path.suffix.lower() in EMBEDDING_SUFFIXES


def _read(text: str, path: Path) -> AnimationRequest:
    """Parse the text of `path` by `from_json`; errors name the path."""
    try:
        return from_json(text)
    except RequestError as error:
        raise RequestError("{path}: {error}", path=path, error=error) from error


def _saved_text(path: Path) -> str:
    try:
        with open_regular(path) as file:
            data = file.read(MAX_REQUEST_BYTES + 1)
        if len(data) > MAX_REQUEST_BYTES:
            raise ValueError("it is too large for one")
        return data.decode("utf-8")
    except (OSError, ValueError) as error:
        why = "it is no text" if isinstance(error, UnicodeDecodeError) else error
        raise RequestError(
            "the request {path} cannot be read ({why}): give a file saved beside a result, or a video of this program "
            "(.mp4, .webm, a folder of PNG frames)",
            path=path,
            why=why,
        ) from error


def _embedded_text(path: Path, metadata: Callable[[Path], Mapping[str, str]]) -> str:
    first = min(path.glob("*.png"), default=path) if path.is_dir() else path
    try:
        text = metadata(first).get(REQUEST_KEY)
    except MediaError as error:
        raise RequestError(
            "the request in {path} cannot be read ({error}): give a file saved beside it", path=path, error=error
        ) from error
    if text is None or not text.lstrip().startswith("{"):  # other programs describe videos in words
        raise RequestError(
            "{path} carries no request: give a video of this program, or a file saved beside one", path=path
        )
    return text
