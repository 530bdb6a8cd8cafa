"""The engine and its settings from the values of the widgets, each of which is checked again here."""

from typing import Any

from fantasyportrait.core.errors import RequestError
from fantasyportrait.schema.options import get_option
from fantasyportrait.schema.presets import PRESET_FIELDS, get_preset
from fantasyportrait.schema.sampling import Sampling
from fantasyportrait.studio.option_values import Values, form_options, read_values, shown_value

PREVIEW, WAN = "preview", "wan"
LIVE = "live"
"""In place of the engine of a result that presenter mode recorded."""
CUSTOM = "custom"


def preset_values(name: str) -> dict[str, Any]:
    """What the widgets of `PRESET_FIELDS` show after the choice of a preset; nothing for Custom."""
    if name == CUSTOM:
        return {}
    changes = get_preset(name).changes
    return {field: shown_value(get_option(Sampling, field), changes[field]) for field in PRESET_FIELDS}


def select_engine(chosen: object, model: str | None) -> str:
    """The engine's name; raises `RequestError` for one that this app does not offer."""
    if chosen == PREVIEW:
        return PREVIEW
    if chosen != WAN or model is None:
        offered = PREVIEW if model is None else f"{PREVIEW} or {WAN}"
        raise RequestError("the engine is {chosen!r}: choose {offered}", chosen=chosen, offered=offered)
    return WAN


def build_sampling(values: Values, model: str) -> Sampling:
    """The sampling, with the server's own model; raises `RequestError` for a value out of its range."""
    sampling = Sampling(model=model, **read_values(Sampling, values))
    for option in form_options(Sampling):
        value = getattr(sampling, option.name)
        # A value beyond the slider's end could keep the GPU busy for a day.
        if option.slider and value > option.slider[1]:
            raise RequestError(
                "{name} is {value}: give at most {most:g}", name=option.name, value=value, most=option.slider[1]
            )
    return sampling
