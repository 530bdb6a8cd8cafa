"""Presets of the diffusion engine: draft, balanced and faithful, with the tradeoff of each."""

from dataclasses import dataclass
from typing import Any

from fantasyportrait.schema.checks import check_choice
from fantasyportrait.schema.guidance import total_passes
from fantasyportrait.schema.options import Option
from fantasyportrait.schema.sampling import Sampling

PRESET_FIELDS = (
    "num_inference_steps",
    "portrait_guidance_scale",
    "guidance_scale",
    "portrait_guidance_start",
    "portrait_guidance_end",
    "lora",
    "step_cache",
    "cache_threshold",
)
"""The fields of `Sampling` that a preset sets; the others stay."""


@dataclass(frozen=True)
class Preset:
    """A named set of sampling options.

    Attributes:
        name: of the preset, in lower case.
        sampling: holds its values of `PRESET_FIELDS`; the other fields are ignored.
        tradeoff: a sentence about speed and loss of quality, for the user.
    """

    name: str
    sampling: Sampling
    tradeoff: str

    @property
    def changes(self) -> dict[str, Any]:
        """The values of `PRESET_FIELDS`, by name."""
        return {name: getattr(self.sampling, name) for name in PRESET_FIELDS}

    @property
    def passes(self) -> int:
        """Forward passes of the transformer for one window with driven faces; cached passes count in full."""
        return total_passes(self.sampling)


PRESETS: tuple[Preset, ...] = (
    Preset(
        "draft",
        Sampling(num_inference_steps=4, portrait_guidance_end=0.5, lora="lightx2v"),
        "A look, in 6 passes of the model instead of 60: its LoRA for 4 steps was made for 480p and never saw driven "
        "faces, so motion may be weaker and detail coarser.",
    ),
    Preset(
        "balanced",
        Sampling(num_inference_steps=20, portrait_guidance_end=0.6, step_cache="first-block"),
        "32 passes instead of 60, and most of a pass is left out where it would change little: the drivers' motion is "
        "reinforced in the first 12 of 20 steps alone, and small movements may be lost.",
    ),
    Preset("faithful", Sampling(), "As in the original, 30 steps of two passes: gives up nothing but time."),
)
PRESET = Option(
    "How much time to spend: 6, at most 32, or 60 passes of the model; flags of single settings override it",
    name="preset",
    choices={preset.name: preset.name.capitalize() for preset in PRESETS},
    default="faithful",
)


def get_preset(name: str) -> Preset:
    """The preset of that name; `RequestError` for an unknown one."""
    check_choice("preset", name, tuple(PRESET.choices))
    return next(preset for preset in PRESETS if preset.name == name)


def match_preset(sampling: Sampling) -> str | None:
    """The name of the preset with these values, or None; the threshold is compared only where a step cache is used."""
    for preset in PRESETS:
        found = {name: getattr(sampling, name) for name in PRESET_FIELDS}
        if sampling.step_cache == "none":
            found["cache_threshold"] = preset.sampling.cache_threshold
        if found == preset.changes:
            return preset.name
    return None
