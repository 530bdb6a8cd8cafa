"""Options of the diffusion engine: a frozen part of the request, checked when created."""

import secrets
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from fantasyportrait.core.errors import RequestError
from fantasyportrait.schema.checks import check_number
from fantasyportrait.schema.options import Option, check_options

FaceMaskKind = Literal["box", "head", "segment"]
Alignment = Literal["original", "mesh"]
Lora = Literal["none", "lightx2v"]
StepCache = Literal["none", "first-block"]
MAX_SEED = 2**63 - 1
RANDOM_SEED = -1
RANDOM_SEED_LIMIT = 2**31
"""Drawn seeds are below it: short to type, and exact as a number in JavaScript."""


@dataclass(frozen=True)
class Sampling:
    """What the `wan` engine does beyond the cast; the preview engine ignores it."""

    # fmt: off
    model: Annotated[str, Option(
        "A name of `fantasyportrait weights list`, or a folder, written with a / in it",
        "model", metavar="NAME_OR_DIR", advanced=True,
    )] = "wan-720p"
    seed: Annotated[int, Option(
        "Seed of the noise: the same seed gives the same frames on the same machine; -1 draws one",
        "steps", limits=(RANDOM_SEED, MAX_SEED),
    )] = 0
    num_inference_steps: Annotated[int, Option(
        "Steps of the sampler; fewer are faster and rougher",
        "steps", "Steps", limits=(1, 1000), slider=(1, 60, 1),
    )] = 30
    portrait_guidance_scale: Annotated[float, Option(
        "How strongly the drivers are followed; 1 halves the time",
        "guidance", "Portrait guidance", limits=(0, 20), slider=(1, 10, 0.5),
    )] = 4.0
    guidance_scale: Annotated[float, Option(
        "How strongly the prompt is followed; above 1 takes longer",
        "guidance", "Text guidance", limits=(1, 20), slider=(1, 10, 0.5),
    )] = 1.0
    portrait_guidance_start: Annotated[float, Option(
        "Share of the steps after which portrait guidance begins",
        "guidance", "Portrait guidance from", limits=(0, 1), slider=(0, 1, 0.05), percent=True, flag="",
    )] = 0.0
    portrait_guidance_end: Annotated[float, Option(
        "Share of the steps after which portrait guidance ends",
        "guidance", "Portrait guidance until", limits=(0, 1), slider=(0, 1, 0.05), percent=True, flag="",
    )] = 1.0
    prompt: Annotated[str, Option(
        "What the video shows, in words", "text", max_length=2000, default_text="empty",
    )] = ""
    negative_prompt: Annotated[str, Option(
        "What the video should not show; used where text guidance is above 1",
        "text", max_length=2000, default_text="empty",
    )] = ""
    face_mask: Annotated[FaceMaskKind, Option(
        "The part of the picture that a face's motion drives: its box, grown as in the original, its head, or its mask "
        "by Segment Anything",
        "faces", choices={"box": "Box of the face", "head": "Head", "segment": "Segment Anything"},
    )] = "box"
    alignment: Annotated[Alignment, Option(
        "What aligns the drivers' faces: the original landmark net or the 478-point mesh",
        "faces", choices={"original": "As in the original", "mesh": "478-point mesh"},
    )] = "original"
    lora: Annotated[Lora, Option(
        "A LoRA for 4 steps without text guidance, made at 480p, or none",
        "speed", "LoRA", choices={"none": "None", "lightx2v": "lightx2v, for 4 steps"},
    )] = "none"
    step_cache: Annotated[StepCache, Option(
        "Skip most of a pass where the output of its first block has hardly changed since the step before",
        "speed", choices={"none": "None", "first-block": "First block"},
    )] = "none"
    cache_threshold: Annotated[float, Option(
        "Relative change up to which the step cache skips; more is faster and less exact",
        "speed", limits=(0.0001, 1), slider=(0.01, 0.5, 0.01), metavar="SHARE",
    )] = 0.1
    batch_passes: Annotated[bool | None, Option(
        "The passes of a step at once, which reads the weights once and takes more memory, or one by one",
        "speed", flag="--batch-passes/--separate-passes", default_text="what is faster here", advanced=True,
    )] = None
    max_window_frames: Annotated[int, Option(
        "The most frames (4 k + 1) that are sampled at once; longer videos are made in overlapping windows of 81",
        "long videos", limits=(5, 201), metavar="FRAMES", advanced=True,
    )] = 201
    # fmt: on

    def __post_init__(self) -> None:
        if not isinstance(self.model, str) or not self.model:
            raise RequestError("model is {model!r}: give a name, such as wan-720p, or a folder", model=self.model)
        check_options(self)
        check_number("portrait_guidance_end", self.portrait_guidance_end, self.portrait_guidance_start, 1)
        if self.max_window_frames % 4 != 1:
            near = self.max_window_frames // 4 * 4 + 1
            raise RequestError(
                "max_window_frames is {max_window_frames}: give 4 k + 1 frames, for example {near}",
                max_window_frames=self.max_window_frames,
                near=near,
            )

    def with_random_seed(self) -> "Sampling":
        """A copy with a random seed where the seed is -1."""
        return replace(self, seed=secrets.randbelow(RANDOM_SEED_LIMIT)) if self.seed == RANDOM_SEED else self

    @property
    def model_folder(self) -> Path | None:
        """The model's folder, where `model` is a path and not a name."""
        is_path = any(mark in self.model for mark in "/\\") or self.model.startswith(".")
        return Path(self.model) if is_path else None
