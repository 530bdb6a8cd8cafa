"""Draft, Balanced, Faithful: settings of the diffusion engine that belong together, and what each gives up."""

from dataclasses import dataclass
from typing import Any

from fantasyportrait.schema.checks import check_choice
from fantasyportrait.schema.sampling import Sampling

FIELDS = (
    "steps",
    "portrait_guidance",
    "text_guidance",
    "guidance_start",
    "guidance_end",
    "lora",
    "step_cache",
    "cache_threshold",
)
"""What a preset decides; everything else of a `Sampling` is left alone."""


@dataclass(frozen=True)
class Preset:
    """One way to sample.

    Attributes:
        name: what users call it.
        sampling: its values of `FIELDS`; the rest means nothing.
        gives_up: one honest sentence.
    """

    name: str
    sampling: Sampling
    gives_up: str

    @property
    def changes(self) -> dict[str, Any]:
        """Its fields of `Sampling`, by name."""
        return {name: getattr(self.sampling, name) for name in FIELDS}

    @property
    def passes(self) -> int:
        """How often the transformer is run for one window of driven faces, cached passes counted as whole ones."""
        from fantasyportrait.schema.guidance import Guidance

        given = self.sampling
        guidance = Guidance(given.text_guidance, given.portrait_guidance, given.guidance_start, given.guidance_end)
        return sum(len(guidance.passes(step, given.steps)) for step in range(given.steps))


PRESETS: tuple[Preset, ...] = (
    Preset(
        "draft",
        Sampling(steps=4, guidance_end=0.5, lora="lightx2v"),
        "A look, in 6 passes of the model instead of 60: its LoRA for 4 steps was made for 480p and never saw driven "
        "faces, so motion may be weaker and detail coarser.",
    ),
    Preset(
        "balanced",
        Sampling(steps=20, guidance_end=0.6, step_cache="first-block"),
        "32 passes instead of 60, and most of a pass is left out where it would change little: the drivers' motion is "
        "reinforced in the first 12 of 20 steps alone, and small movements may be lost.",
    ),
    Preset("faithful", Sampling(), "As published, 30 steps of two passes: gives up nothing but time."),
)
PRESET_NAMES: tuple[str, ...] = tuple(preset.name for preset in PRESETS)


def preset_named(name: str) -> Preset:
    """The preset of that name; `RequestError` for an unknown one."""
    check_choice("preset", name, PRESET_NAMES)
    return next(preset for preset in PRESETS if preset.name == name)


def preset_of(sampling: Sampling) -> str | None:
    """The name of the preset that samples so, None where none does; a threshold counts where there is a cache."""
    for preset in PRESETS:
        found = {name: getattr(sampling, name) for name in FIELDS}
        if sampling.step_cache == "none":
            found["cache_threshold"] = preset.sampling.cache_threshold
        if found == preset.changes:
            return preset.name
    return None
