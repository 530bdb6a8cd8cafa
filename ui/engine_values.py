"""What the visitor chose of the engine becomes part of the request; every value is checked again here."""

from dataclasses import dataclass, fields
from typing import Any

from fantasyportrait.core.errors import RequestError
from fantasyportrait.service.sampling import Sampling

PREVIEW, WAN = "preview", "wan"
ENGINES = (("Preview", PREVIEW), ("Wan", WAN))
REGIONS = (("Box of the face", "box"), ("Head", "head"), ("Segment Anything", "segment"))
ALIGNMENTS = (("As published", "published"), ("478-point mesh", "mesh"))
MOST_STEPS = 60
"""No visitor can keep the card busy for a day by typing a number."""


@dataclass(frozen=True)
class EngineValues:
    """The values of the engine's widgets, unchecked, in their order; guidance begins and ends at % of the steps."""

    engine: object
    steps: object
    seed: object
    portrait_guidance: object
    text_guidance: object
    prompt: object
    negative_prompt: object
    region: object
    alignment: object
    guidance_begins: object
    guidance_ends: object


def engine_of(values: EngineValues | None, model: str | None) -> str:
    """The engine's name; raises `RequestError` for one that this app does not offer."""
    if values is None or values.engine == PREVIEW:
        return PREVIEW
    if values.engine != WAN or model is None:
        offered = PREVIEW if model is None else f"{PREVIEW} or {WAN}"
        raise RequestError(f"the engine is {values.engine!r}: choose {offered}")
    return WAN


def sampling_of(values: EngineValues, model: str) -> Sampling:
    """How to sample, with the server's own model; raises `RequestError` for a value out of its range."""
    names = {field.name for field in fields(EngineValues)} & {field.name for field in fields(Sampling)}
    given: dict[str, Any] = {name: getattr(values, name) for name in names}
    sampling = Sampling(
        model=model,
        guidance_start=_share("begins", values.guidance_begins),
        guidance_end=_share("ends", values.guidance_ends),
        **given,
    )
    if sampling.steps > MOST_STEPS:
        raise RequestError(f"steps is {sampling.steps}: give at most {MOST_STEPS}")
    return sampling


def _share(edge: str, percent: object) -> float:
    """A percentage as a share of 1."""
    if not isinstance(percent, int | float) or not 0 <= percent <= 100:
        raise RequestError(f"portrait guidance {edge} at {percent!r}: give a number from 0 to 100")
    return percent / 100
