"""Sentences for visitors, without the server's paths."""

from collections.abc import Mapping
from pathlib import Path


def hide_paths(text: object, names: Mapping[Path, str]) -> str:
    """The message with the visitor's names of files in place of their paths on the server."""
    words = str(text)
    for path, name in names.items():
        words = words.replace(str(path), name).replace(path.as_posix(), name)
        # Messages of the decoder name a file without its folder.
        words = words.replace(path.name, name)
    return words
