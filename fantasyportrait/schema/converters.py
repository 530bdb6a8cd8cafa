"""Fields of frozen dataclasses that take what people have (text, a path, a list) and keep one checked type."""

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

    `convert(value, name)` makes the one of the other, or raises `RequestError` that names the field. It also gets
    `default`; without one the field is required (type checkers see a default all the same). How dataclasses treat such
    a field: "Descriptor-typed fields" in the documentation of `dataclasses`.
    """

    def __init__(self, convert: Callable[[object, str], ValueT], default: object = _REQUIRED) -> None:
        self._convert, self._default = convert, default

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: object, owner: type) -> ValueT:
        """The converted value; of the class itself its default, which dataclasses ask for."""
        if instance is not None:
            return cast(ValueT, vars(instance)[self._name])
        if self._default is _REQUIRED:
            raise AttributeError(self._name)
        return cast(ValueT, self._default)

    def __set__(self, instance: object, value: InputT) -> None:
        """Keep the converted value. Only the constructor of a frozen dataclass comes here."""
        vars(instance)[self._name] = self._convert(value, self._name)


def as_path(value: object, name: str) -> Path:
    """The path of a file, from text or a path; `RequestError` that names the argument `name` for anything else."""
    path = as_folder(value, name)
    if not path.name:
        raise RequestError(f"{name} is empty or a folder ({str(value)!r}): give the path of a file on this machine")
    return path


def as_folder(value: object, name: str) -> Path:
    """The same for a folder, which may be the current one."""
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not isinstance(text, str):
        raise RequestError(f"{name} is {format_value(value)}: give a path, as text or as a Path")
    if not text or "\0" in text:
        raise RequestError(f"{name} is {text!r}: give a path")
    return value if isinstance(value, Path) else Path(text)


def as_folder_or_none(value: object, name: str) -> Path | None:
    """The same for a folder that need not be given."""
    return None if value is None else as_folder(value, name)


def as_duration(value: object, name: str) -> float | DurationMode:
    """Seconds from any real number or its text, or one of the words; a number's range is not checked here."""
    if isinstance(value, str):
        if value in DURATION_MODES:
            return value
        try:
            return float(value)
        except ValueError as error:
            hint = did_you_mean(value, DURATION_MODES)
            words = ", ".join(DURATION_MODES)
            raise RequestError(f"{name} is {value!r}{hint}: give {words} or a number of seconds") from error
    if isinstance(value, Fraction) or (isinstance(value, Real) and not isinstance(value, int)):
        try:
            return float(value)
        except OverflowError:
            return math.inf  # refused with the range
    return cast(float, value)  # whole numbers stay; what is no number is refused with the range


def format_value(value: object) -> str:
    """A wrong value in a message: arrays by dtype and shape, long ones cut, each with its type where that matters."""
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if shape and dtype is not None:  # numpy's numbers have an empty shape
        return f"a {dtype} array {tuple(shape)}"
    text = repr(value)
    return text if len(text) <= _MAX_REPR else f"{text[:_MAX_REPR]}... ({type(value).__name__})"


_MAX_REPR = 120
