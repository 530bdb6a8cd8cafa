"""Values as the page would send them."""

from dataclasses import replace
from typing import Any

from fantasyportrait.schema.regions import REGION_NAMES
from ui.engine_values import WAN, EngineValues
from ui.form import MOTION, CardValues, OptionValues

CARD = CardValues(
    kind=MOTION,
    clip=None,
    person=0,
    webcam=None,
    motion="nod",
    strength=1,
    regions=list(REGION_NAMES),
    mirror=False,
)
OPTIONS = OptionValues(
    length="seconds", seconds=0.4, fill="loop", absolute=False, smoothing=0.5, sound="auto", side_by_side=False
)

ENGINE = EngineValues(
    engine=WAN,
    num_inference_steps=8,
    seed=3,
    portrait_guidance_scale=4,
    guidance_scale=1,
    prompt="",
    negative_prompt="",
    region="box",
    alignment="original",
    guidance_begins=0,
    guidance_ends=100,
    lora="none",
    step_cache="none",
    cache_threshold=0.1,
)


def card(**changes: Any) -> CardValues:
    """A card that nods, with changes."""
    return replace(CARD, **changes)


def options(**changes: Any) -> OptionValues:
    """The options of a result of 0.4 s, with changes."""
    return replace(OPTIONS, **changes)


def engine(**changes: Any) -> EngineValues:
    """Wan with eight steps, with changes."""
    return replace(ENGINE, **changes)


def values(item: CardValues | OptionValues | EngineValues) -> list[Any]:
    """The values in the order of the widgets."""
    return list(vars(item).values())
