"""Replaces paths of the worker's machine in events by those of the client's machine."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, cast

from fantasyportrait.core.errors import FantasyPortraitError
from fantasyportrait.core.sentences import with_values

T = TypeVar("T")


@dataclass(frozen=True)
class PathNames:
    """Replaces paths of a worker's machine.

    Attributes:
        names: the replacement of each path. Where one path begins with another, the longer one is replaced.
    """

    names: Mapping[str, str]

    def event(self, value: T) -> T:
        """`value` with the paths replaced in its texts, paths, errors, tuples and dataclass fields."""
        return cast("T", self._replaced(value))

    def _replaced(self, value: Any) -> Any:
        if isinstance(value, str):
            return with_values(value, self._text)
        if isinstance(value, Path):
            return Path(self.names.get(str(value), value))
        if isinstance(value, tuple):
            return tuple(map(self._replaced, value))
        if isinstance(value, FantasyPortraitError):
            error = type(value)(self._replaced(value.sentence))
            error.messages = self._replaced(value.messages)
            return error
        if is_dataclass(value) and not isinstance(value, type):
            return replace(value, **{field.name: self._replaced(getattr(value, field.name)) for field in fields(value)})
        return value

    def _text(self, text: str) -> str:
        paths = sorted(self.names, key=len, reverse=True)
        # In one pass: a replacement may contain another path.
        return re.sub("|".join(map(re.escape, paths)), lambda found: self.names[found[0]], text) if paths else text
