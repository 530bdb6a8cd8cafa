"""Sentences for visitors, without the server's paths."""

import re
from collections.abc import Mapping
from pathlib import Path


def hide_paths(text: object, names: Mapping[Path, str]) -> str:
    """The message with the visitor's names of files in place of their paths on the server."""
    words = str(text)
    for path, name in names.items():
        words = words.replace(str(path), name).replace(path.as_posix(), name)
    return named(words, {path.name: name for path, name in names.items()})


def named(text: str, names: Mapping[str, str]) -> str:
    """The message with the visitor's names in place of our names of files, with or without their folders."""
    for ours, name in names.items():
        # A backslash in a name would be read as an escape.
        text = re.sub(rf"(?:[^\s'\"]*/)?{re.escape(ours)}", name.replace("\\", r"\\"), text)
    return text
