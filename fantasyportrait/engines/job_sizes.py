"""How large a job of the diffusion engine is, for an estimate before anything is loaded."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

from fantasyportrait.schema.sampling import Sampling

if TYPE_CHECKING:
    from fantasyportrait.planning.job_needs import JobSize
    from fantasyportrait.schema.guidance import Guidance

SHORTEST = 5


def sampled_frames(frames: int) -> int:
    """The smallest 4 k + 1 from `frames` on, at least 5."""
    return max(SHORTEST, 4 * math.ceil((frames - 1) / 4) + 1)


def guidance_of(sampling: Sampling) -> "Guidance":
    """The scales of the sampling, and the steps on which they work."""
    from fantasyportrait.schema.guidance import Guidance

    return Guidance(sampling.text_guidance, sampling.portrait_guidance, sampling.guidance_start, sampling.guidance_end)


def job_size(sampling: Sampling, size: tuple[int, int], frames: int, faces: int, lora: Path | None = None) -> "JobSize":
    """The job as an estimate sees it: `size` (width, height) in pixels, `frames` sampled, `faces` driven, and the file
    of the LoRA."""
    from fantasyportrait.planning.job_needs import JobSize

    guidance = guidance_of(sampling)
    passes = [len(guidance.passes(step, sampling.steps, motion=faces > 0)) for step in range(sampling.steps)]
    return JobSize(
        width=size[0],
        height=size[1],
        frames=frames,
        longest_pass=sampling.longest_pass,
        faces=faces,
        steps=sampling.steps,
        passes=sum(passes) / len(passes),
        most_passes=max(passes),
        batch_passes=sampling.batch_passes,
        cache=sampling.step_cache,
        lora_bytes=0 if lora is None else lora.stat().st_size,
    )
