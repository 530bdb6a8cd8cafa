"""Checks of a request's fields. Each raises `RequestError` that names the field, its value and the rule."""

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

from fantasyportrait.core.errors import RequestError
from fantasyportrait.core.suggest import did_you_mean
from fantasyportrait.schema.converters import format_value


def check_number(field: str, value: object, low: float, high: float) -> None:
    """Require a finite number within [low, high]; numpy's numbers are accepted."""
    number = isinstance(value, Real) and not isinstance(value, bool)
    # NaN lies in no range; a whole number may be too large for `math.isfinite`.
    if not number or not low <= value <= high:  # type: ignore[operator]
        raise RequestError(f"{field} is {format_value(value)}: give a number from {low:g} to {high:g}")


def check_integer(field: str, value: object, low: int, high: int) -> None:
    """Require a whole number within [low, high]; numpy's numbers are accepted."""
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not whole or not low <= value <= high:  # type: ignore[operator]
        raise RequestError(f"{field} is {format_value(value)}: give a whole number from {low} to {high}")


def check_bool(field: str, value: object) -> None:
    """Require True or False."""
    if not isinstance(value, bool):
        raise RequestError(f"{field} is {value!r}: give true or false")


def check_choice(field: str, value: object, choices: Sequence[str]) -> None:
    """Require one of `choices`."""
    if value not in choices:
        raise RequestError(f"{field} is {value!r}{did_you_mean(value, choices)}: choose one of {', '.join(choices)}")


def check_sha256(field: str, value: object) -> None:
    """Require a sha256 in hexadecimal, or None where none is recorded."""
    if value is None:
        return
    if not isinstance(value, str) or len(value) != 64 or set(value) - set("0123456789abcdef"):
        raise RequestError(f"{field} is {value!r}: give the 64 hexadecimal digits of a sha256, or leave it out")


def check_keys(what: str, data: object, known: Sequence[str]) -> dict[str, Any]:
    """Return `data` if it is a JSON object without unknown keys."""
    if not isinstance(data, dict):
        raise RequestError(f"{what} is {data!r}: it must be an object with the keys {', '.join(known)}")
    unknown = [str(key) for key in data if key not in known]
    if unknown:
        raise RequestError(
            f"{what} has the unknown key {unknown[0]!r}: remove it or correct it; known are {', '.join(known)}"
        )
    return data
