"""How large a job of the diffusion engine is, for an estimate before anything is loaded."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

from fantasyportrait.schema.sampling import Sampling

if TYPE_CHECKING:
    from fantasyportrait.planning.workload import Workload
    from fantasyportrait.schema.guidance import Guidance

MIN_FRAMES = 5


def sampled_frames(frames: int) -> int:
    """The smallest 4 k + 1 from `frames` on, at least 5."""
    return max(MIN_FRAMES, 4 * math.ceil((frames - 1) / 4) + 1)


def guidance_of(sampling: Sampling) -> "Guidance":
    """The scales of the sampling, and the steps on which they work."""
    from fantasyportrait.schema.guidance import Guidance

    return Guidance(
        sampling.guidance_scale,
        sampling.portrait_guidance_scale,
        sampling.portrait_guidance_start,
        sampling.portrait_guidance_end,
    )


def workload_of(
    sampling: Sampling, size: tuple[int, int], frames: int, faces: int, lora: Path | None = None
) -> "Workload":
    """The job as an estimate sees it: `size` (width, height) in pixels, `frames` sampled, `faces` driven, and the file
    of the LoRA."""
    from fantasyportrait.planning.workload import Workload

    guidance = guidance_of(sampling)
    passes = [
        len(guidance.passes(step, sampling.num_inference_steps, motion=faces > 0))
        for step in range(sampling.num_inference_steps)
    ]
    return Workload(
        width=size[0],
        height=size[1],
        frames=frames,
        max_window_frames=sampling.max_window_frames,
        faces=faces,
        steps=sampling.num_inference_steps,
        passes=sum(passes) / len(passes),
        max_passes=max(passes),
        batch_passes=sampling.batch_passes,
        cache=sampling.step_cache,
        lora_bytes=0 if lora is None else lora.stat().st_size,
    )
