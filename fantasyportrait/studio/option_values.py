"""Values of the option widgets, by the names of the options: how they are shown, and how they are read."""

from collections.abc import Mapping
from typing import Any

from fantasyportrait.core.errors import RequestError
from fantasyportrait.schema.options import Option, options_of

Values = Mapping[str, object]
"""The values of widgets, unchecked, by their names."""
AUTOMATIC = "automatic"
"""The choice for None, which a radio button cannot have."""


def form_options(owner: type) -> tuple[Option, ...]:
    """The options of a dataclass that the app offers."""
    return tuple(option for option in options_of(owner) if not option.advanced)


def shown_value(option: Option, value: Any) -> Any:
    """A field's value as its widget shows it."""
    if option.percent:
        return round(100 * value)
    return AUTOMATIC if value is None else value


def read_values(owner: type, values: Values) -> dict[str, Any]:
    """The fields of a dataclass among the values of widgets; raises `RequestError` for a wrong percentage."""
    return {
        option.name: _read_value(option, values[option.name]) for option in form_options(owner) if option.name in values
    }


def _read_value(option: Option, shown: object) -> Any:
    if option.percent:
        if not isinstance(shown, int | float) or not 0 <= shown <= 100:
            raise RequestError("{name} is {value!r} %: give a number from 0 to 100", name=option.name, value=shown)
        return shown / 100
    return None if option.optional and shown == AUTOMATIC else shown
