"""Values as the page would send them."""

from dataclasses import replace
from typing import Any

from fantasyportrait.studio.engine_values import WAN
from fantasyportrait.studio.state import Card

OPTIONS = {
    "length": "seconds",
    "seconds": 0.4,
    "fill": "loop",
    "absolute": False,
    "smoothing": 0.5,
    "sound": "auto",
    "side_by_side": False,
}
ENGINE = {
    "engine": WAN,
    "num_inference_steps": 8,
    "seed": 3,
    "portrait_guidance_scale": 4,
    "guidance_scale": 1,
    "prompt": "",
    "negative_prompt": "",
    "face_mask": "box",
    "alignment": "original",
    "portrait_guidance_start": 0,
    "portrait_guidance_end": 100,
    "lora": "none",
    "step_cache": "none",
    "cache_threshold": 0.1,
}


def card(**changes: Any) -> Card:
    """A card that nods, with changes."""
    return replace(Card(motion="nod"), **changes)


def options(**changes: Any) -> dict[str, Any]:
    """The options of a result of 0.4 s, with changes."""
    return {**OPTIONS, **changes}


def engine(**changes: Any) -> dict[str, Any]:
    """The settings of Wan with eight steps, with changes."""
    return {**ENGINE, **changes}
