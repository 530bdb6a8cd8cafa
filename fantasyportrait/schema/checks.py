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
        raise RequestError(
            "{field} is {value}: give a number from {low:g} to {high:g}",
            field=field,
            value=format_value(value),
            low=low,
            high=high,
        )


def check_integer(field: str, value: object, low: int, high: int) -> None:
    """Require a whole number within [low, high]; numpy's numbers are accepted."""
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not whole or not low <= value <= high:  # type: ignore[operator]
        raise RequestError(
            "{field} is {value}: give a whole number from {low} to {high}",
            field=field,
            value=format_value(value),
            low=low,
            high=high,
        )


def check_bool(field: str, value: object) -> None:
    """Require True or False."""
    if not isinstance(value, bool):
        raise RequestError("{field} is {value!r}: give true or false", field=field, value=value)


def check_choice(field: str, value: object, choices: Sequence[str]) -> None:
    """Require one of `choices`."""
    if value not in choices:
        raise RequestError(
            "{field} is {value!r}{hint}: choose one of {names}",
            field=field,
            value=value,
            hint=did_you_mean(value, choices),
            names=", ".join(choices),
        )


def check_sha256(field: str, value: object) -> None:
    """Require a sha256 in hexadecimal, or None where none is recorded."""
    if value is None:
        return
    if not isinstance(value, str) or len(value) != 64 or set(value) - set("0123456789abcdef"):
        raise RequestError(
            "{field} is {value!r}: give the 64 hexadecimal digits of a sha256, or leave it out",
            field=field,
            value=value,
        )


def check_keys(what: str, data: object, known: Sequence[str]) -> dict[str, Any]:
    """Return `data` if it is a JSON object without unknown keys."""
    if not isinstance(data, dict):
        raise RequestError(
            "{what} is {data!r}: it must be an object with the keys {names}",
            what=what,
            data=data,
            names=", ".join(known),
        )
    unknown = [str(key) for key in data if key not in known]
    if unknown:
        raise RequestError(
            "{what} has the unknown key {unknown!r}: remove it or correct it; known are {names}",
            what=what,
            unknown=unknown[0],
            names=", ".join(known),
        )
    return data
