"""Sentences for visitors, without the server's paths."""

import re
from collections.abc import Mapping
from pathlib import Path

from fantasyportrait.core.errors import FantasyPortraitError
from fantasyportrait.core.sentences import with_values


def hide_paths(said: str | FantasyPortraitError, names: Mapping[Path, str]) -> str:
    """The message with the visitor's names of files in place of their paths on the server."""

    def hidden(text: str) -> str:
        for path, name in names.items():
            text = text.replace(str(path), name).replace(path.as_posix(), name)
        return text

    text = said.sentence if isinstance(said, FantasyPortraitError) else said
    return named(with_values(text, hidden), {path.name: name for path, name in names.items()})


def named(text: str, names: Mapping[str, str]) -> str:
    """The message with the visitor's names in place of our names of files, with or without their folders."""

    def renamed(text: str) -> str:
        for ours, name in names.items():
            # A backslash in a name would be read as an escape.
            text = re.sub(rf"(?:[^\s'\"]*/)?{re.escape(ours)}", name.replace("\\", r"\\"), text)
        return text

    return with_values(text, renamed)
