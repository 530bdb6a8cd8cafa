"""What the visitor chose of the engine becomes part of the request; every value is checked again here."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from fantasyportrait.core.errors import RequestError
from fantasyportrait.schema.presets import PRESETS, get_preset, match_preset
from fantasyportrait.schema.sampling import Sampling

PREVIEW, WAN = "preview", "wan"
ENGINES = (("Preview", PREVIEW), ("Wan", WAN))
REGIONS = (("Box of the face", "box"), ("Head", "head"), ("Segment Anything", "segment"))
ALIGNMENTS = (("As in the original", "original"), ("478-point mesh", "mesh"))
LORAS = (("None", "none"), ("lightx2v, for 4 steps", "lightx2v"))
STEP_CACHES = (("None", "none"), ("First block", "first-block"))
CUSTOM = "custom"
PRESET_CHOICES = (*((preset.name.capitalize(), preset.name) for preset in PRESETS), ("Custom", CUSTOM))
PRESET_FIELDS = (
    "num_inference_steps",
    "portrait_guidance_scale",
    "guidance_scale",
    "guidance_begins",
    "guidance_ends",
    "lora",
    "step_cache",
    "cache_threshold",
)
"""Of `EngineValues`: those that a preset decides."""
MAX_STEPS = 60
"""No visitor can keep the GPU busy for a day by typing a number."""


@dataclass(frozen=True)
class EngineValues:
    """The values of the engine's widgets, unchecked, in their order; guidance begins and ends at % of the steps."""

    engine: object
    num_inference_steps: object
    seed: object
    portrait_guidance_scale: object
    guidance_scale: object
    prompt: object
    negative_prompt: object
    region: object
    alignment: object
    guidance_begins: object
    guidance_ends: object
    lora: object
    step_cache: object
    cache_threshold: object


def preset_values(name: str) -> dict[str, Any]:
    """What a preset sets, by the names of `PRESET_FIELDS`; nothing for a visitor's own settings."""
    if name == CUSTOM:
        return {}
    given = get_preset(name).sampling
    edges = {
        "guidance_begins": round(100 * given.portrait_guidance_start),
        "guidance_ends": round(100 * given.portrait_guidance_end),
    }
    return {field: edges[field] if field in edges else getattr(given, field) for field in PRESET_FIELDS}


def preset_shown(values: Mapping[str, Any]) -> str:
    """The preset that the values of `PRESET_FIELDS` are, or `CUSTOM`."""
    try:
        return match_preset(Sampling(**_fields(values))) or CUSTOM
    except RequestError:
        # A number that is being typed; Animate says what is wrong with it.
        return CUSTOM


def tradeoff(name: str) -> str:
    """What a preset gives up, in a sentence."""
    return "Your own settings, as they stand below" if name == CUSTOM else get_preset(name).tradeoff


def select_engine(values: EngineValues | None, model: str | None) -> str:
    """The engine's name; raises `RequestError` for one that this app does not offer."""
    if values is None or values.engine == PREVIEW:
        return PREVIEW
    if values.engine != WAN or model is None:
        offered = PREVIEW if model is None else f"{PREVIEW} or {WAN}"
        raise RequestError(f"the engine is {values.engine!r}: choose {offered}")
    return WAN


def build_sampling(values: EngineValues, model: str) -> Sampling:
    """How to sample, with the server's own model; raises `RequestError` for a value out of its range."""
    sampling = Sampling(model=model, **_fields(vars(values)))
    if sampling.num_inference_steps > MAX_STEPS:
        raise RequestError(f"num_inference_steps is {sampling.num_inference_steps}: give at most {MAX_STEPS}")
    return sampling


def _fields(values: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of `Sampling` from values by the names of `EngineValues`; those of neither are left out."""
    names = {field.name for field in fields(Sampling)}
    return {
        **{name: value for name, value in values.items() if name in names},
        "portrait_guidance_start": _share("begins", values["guidance_begins"]),
        "portrait_guidance_end": _share("ends", values["guidance_ends"]),
    }


def _share(edge: str, percent: object) -> float:
    """A percentage as a share of 1."""
    if not isinstance(percent, int | float) or not 0 <= percent <= 100:
        raise RequestError(f"portrait guidance {edge} at {percent!r}: give a number from 0 to 100")
    return percent / 100
