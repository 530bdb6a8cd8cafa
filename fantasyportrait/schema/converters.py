"""Fields of frozen dataclasses that accept several types (text, a path, a list) and store one checked type."""

import math
import os
from collections.abc import Callable
from fractions import Fraction
from numbers import Real
from pathlib import Path
from typing import Generic, Literal, TypeVar, cast, get_args

from fantasyportrait.core.errors import RequestError
from fantasyportrait.core.suggest import did_you_mean

StrPath = str | os.PathLike[str]
DurationMode = Literal["longest", "shortest", "sound"]
DURATION_MODES: tuple[DurationMode, ...] = get_args(DurationMode)

InputT = TypeVar("InputT", contravariant=True)
ValueT = TypeVar("ValueT", covariant=True)
_REQUIRED = object()


class Converted(Generic[InputT, ValueT]):
    """A dataclass field whose constructor takes `InputT` and whose attribute is `ValueT`, also for type checkers.

    `convert(value, name)` returns the stored value, or raises `RequestError` that names the field. It converts
    `default` too; without a default the field is required, which type checkers cannot see. See "Descriptor-typed
    fields" in the documentation of `dataclasses`.
    """

    def __init__(self, convert: Callable[[object, str], ValueT], default: object = _REQUIRED) -> None:
        self._convert, self._default = convert, default

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: object, owner: type) -> ValueT:
        """The converted value; for the class itself the default, which `dataclasses` reads."""
        if instance is not None:
            return cast(ValueT, vars(instance)[self._name])
        if self._default is _REQUIRED:
            raise AttributeError(self._name)
        return cast(ValueT, self._default)

    def __set__(self, instance: object, value: InputT) -> None:
        """Store the converted value; only the constructor of a frozen dataclass calls this."""
        vars(instance)[self._name] = self._convert(value, self._name)


def as_path(value: object, name: str) -> Path:
    """The path of a file from text or a path. Raises `RequestError` that names the argument for anything else."""
    path = as_folder(value, name)
    if not path.name:
        raise RequestError(
            "{name} is empty or a folder ({value!r}): give the path of a file on this machine",
            name=name,
            value=str(value),
        )
    return path


def as_folder(value: object, name: str) -> Path:
    """The path of a folder, which may be the current one; see `as_path`."""
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not isinstance(text, str):
        raise RequestError("{name} is {value}: give a path, as text or as a Path", name=name, value=format_value(value))
    if not text or "\0" in text:
        raise RequestError("{name} is {text!r}: give a path", name=name, text=text)
    return value if isinstance(value, Path) else Path(text)


def as_folder_or_none(value: object, name: str) -> Path | None:
    """The path of a folder, or None for None; see `as_path`."""
    return None if value is None else as_folder(value, name)


def as_duration(value: object, name: str) -> float | DurationMode:
    """Seconds from a real number or its text, or one of `DURATION_MODES`; the range is checked by the request."""
    if isinstance(value, str):
        if value in DURATION_MODES:
            return value
        try:
            return float(value)
        except ValueError as error:
            hint = did_you_mean(value, DURATION_MODES)
            words = ", ".join(DURATION_MODES)
            raise RequestError(
                "{name} is {value!r}{hint}: give {words} or a number of seconds",
                name=name,
                value=value,
                hint=hint,
                words=words,
            ) from error
    if isinstance(value, Fraction) or (isinstance(value, Real) and not isinstance(value, int)):
        try:
            return float(value)
        except OverflowError:
            return math.inf  # out of range: the request refuses it
    return cast(float, value)  # a whole number stays; the request refuses anything else


def format_value(value: object) -> str:
    """A wrong value as text for an error: an array by dtype and shape, a long value cut off and with its type."""
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if shape and dtype is not None:  # numpy's numbers have an empty shape
        return f"a {dtype} array {tuple(shape)}"
    text = repr(value)
    return text if len(text) <= _MAX_REPR else f"{text[:_MAX_REPR]}... ({type(value).__name__})"


_MAX_REPR = 120
