"""The description of the form for the page: every option of the request, of Wan and of a card, from the schema."""

from typing import Any

from fantasyportrait.faces.annotate import FACE_COLOURS
from fantasyportrait.schema.builtin_motions import BUILTIN_MOTIONS
from fantasyportrait.schema.cast import Role
from fantasyportrait.schema.options import Option, get_option, options_of
from fantasyportrait.schema.presets import PRESETS
from fantasyportrait.schema.regions import Regions
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.schema.sampling import Sampling
from fantasyportrait.studio.engine_values import CUSTOM, preset_values
from fantasyportrait.studio.option_values import form_options, shown_value
from fantasyportrait.studio.request_form import MAX_DURATION_S, MAX_WAN_DURATION_S

SPECIAL = ("duration", "sound")
"""Options whose fields the page builds itself: the length is two values, the sounds depend on the faces."""


def form_schema(model: str | None) -> dict[str, Any]:
    """The description as one JSON object; without a `model` it offers the preview engine alone."""
    return {
        "wan": model is not None,
        "options": [_field(option) for option in form_options(AnimationRequest) if option.name not in SPECIAL],
        "sampling": [] if model is None else [_field(option) for option in form_options(Sampling)],
        "presets": [
            {"name": preset.name, "tradeoff": preset.tradeoff, "values": preset_values(preset.name)}
            for preset in PRESETS
        ],
        "custom_preset": CUSTOM,
        "card": {name: _field(get_option(Role, name)) for name in ("strength", "mirror")},
        "regions": [{"value": option.name, "label": option.label} for option in options_of(Regions)],
        "motions": [{"name": name, "about": about} for name, about in BUILTIN_MOTIONS.items()],
        "colours": ["#{:02x}{:02x}{:02x}".format(*colour) for colour in FACE_COLOURS],
        "longest_s": {"preview": MAX_DURATION_S, "wan": MAX_WAN_DURATION_S},
    }


def _field(option: Option) -> dict[str, Any]:
    scale = 100 if option.percent else 1
    return {
        "name": option.name,
        "kind": _kind(option),
        "label": option.label,
        "doc": option.doc,
        "group": option.group,
        "default": shown_value(option, option.default),
        "choices": [{"value": shown_value(option, value), "label": text} for value, text in option.choices.items()],
        "range": [scale * number for number in option.slider] if option.slider else None,
        "percent": option.percent,
        "max_length": option.max_length,
    }


def _kind(option: Option) -> str:
    if option.choices:
        return "choice"
    if option.kind is bool:
        return "switch"
    if option.slider:
        return "slider"
    return "number" if option.kind in (int, float) else "text"
