"""Options of the diffusion engine: a frozen part of the request, checked when created."""

import secrets
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from fantasyportrait.core.errors import RequestError
from fantasyportrait.schema.checks import check_bool, check_choice, check_integer, check_number

FaceRegion = Literal["box", "head", "segment"]
Alignment = Literal["original", "mesh"]
Lora = Literal["none", "lightx2v"]
StepCache = Literal["none", "first-block"]
FACE_REGIONS: tuple[FaceRegion, ...] = ("box", "head", "segment")
ALIGNMENTS: tuple[Alignment, ...] = ("original", "mesh")
LORAS: tuple[Lora, ...] = ("none", "lightx2v")
STEP_CACHES: tuple[StepCache, ...] = ("none", "first-block")
MIN_CACHE_THRESHOLD = 0.0001
MAX_PROMPT_LENGTH = 2000
MAX_SEED = 2**63 - 1
RANDOM_SEED = -1
RANDOM_SEED_LIMIT = 2**31
"""Drawn seeds are below it: short to type, and exact as a number in JavaScript."""


@dataclass(frozen=True)
class Sampling:
    """What the `wan` engine does beyond the cast; the preview engine ignores it.

    Attributes:
        model: a name of `fantasyportrait weights list`, or the folder of a model.
        seed: of the noise; the same seed gives the same frames on the same machine. -1: a run draws one.
        num_inference_steps: of the sampler; 30 as in the original.
        portrait_guidance_scale: p, how strongly the driving motion is followed; 4 as in the original, 1 halves the
            time.
        guidance_scale: c, how strongly the prompt is followed; 1 as in the original.
        portrait_guidance_start, portrait_guidance_end: the part of the steps on which portrait guidance works, shares
        of 1.
        prompt, negative_prompt: what the video shows, or shall not show; the negative one counts where c is not 1.
        region: where a face attends to its own motion: its grown box (as in the original), its head mask, or the mask
            of Segment Anything.
        alignment: how driving faces are aligned: by the original landmark net, or by the 478-point mesh.
        lora: lightx2v is for 4 steps without text guidance; it was made at 480p.
        step_cache: first-block leaves out all blocks but the first where that one says what it said last time.
        cache_threshold: how much the first block may say anew, as a share; more is faster and less exact.
        batch_passes: run the passes of a step as one batch, which takes more memory and reads the weights once; None
            for what the machine does best.
        max_window_frames: up to so many frames (4 k + 1) are sampled at once, longer videos in overlapping windows of
            81.
    """

    model: str = "wan-720p"
    seed: int = 0
    num_inference_steps: int = 30
    portrait_guidance_scale: float = 4.0
    guidance_scale: float = 1.0
    portrait_guidance_start: float = 0.0
    portrait_guidance_end: float = 1.0
    prompt: str = ""
    negative_prompt: str = ""
    region: FaceRegion = "box"
    alignment: Alignment = "original"
    lora: Lora = "none"
    step_cache: StepCache = "none"
    cache_threshold: float = 0.1
    batch_passes: bool | None = None
    max_window_frames: int = 201

    def __post_init__(self) -> None:
        if not isinstance(self.model, str) or not self.model:
            raise RequestError(f"model is {self.model!r}: give a name, such as wan-720p, or a folder")
        check_integer("seed", self.seed, RANDOM_SEED, MAX_SEED)
        check_integer("num_inference_steps", self.num_inference_steps, 1, 1000)
        check_number("portrait_guidance_scale", self.portrait_guidance_scale, 0, 20)
        check_number("guidance_scale", self.guidance_scale, 1, 20)
        check_number("portrait_guidance_start", self.portrait_guidance_start, 0, 1)
        check_number("portrait_guidance_end", self.portrait_guidance_end, self.portrait_guidance_start, 1)
        for name in ("prompt", "negative_prompt"):
            text = getattr(self, name)
            if not isinstance(text, str) or len(text) > MAX_PROMPT_LENGTH:
                raise RequestError(f"{name} is too long or no text: give at most {MAX_PROMPT_LENGTH} characters")
        check_choice("region", self.region, FACE_REGIONS)
        check_choice("alignment", self.alignment, ALIGNMENTS)
        check_choice("lora", self.lora, LORAS)
        check_choice("step_cache", self.step_cache, STEP_CACHES)
        check_number("cache_threshold", self.cache_threshold, MIN_CACHE_THRESHOLD, 1)
        if self.batch_passes is not None:
            check_bool("batch_passes", self.batch_passes)
        check_integer("max_window_frames", self.max_window_frames, 5, 201)
        if self.max_window_frames % 4 != 1:
            near = self.max_window_frames // 4 * 4 + 1
            raise RequestError(
                f"max_window_frames is {self.max_window_frames}: give 4 k + 1 frames, for example {near}"
            )

    def with_random_seed(self) -> "Sampling":
        """A copy with a random seed where the seed is -1."""
        return replace(self, seed=secrets.randbelow(RANDOM_SEED_LIMIT)) if self.seed == RANDOM_SEED else self

    @property
    def model_folder(self) -> Path | None:
        """The model's folder, where `model` is a path and not a name."""
        is_path = any(mark in self.model for mark in "/\\") or self.model.startswith(".")
        return Path(self.model) if is_path else None
