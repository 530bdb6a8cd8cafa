"""The pipeline for who knows no torch: arrays in, chunks of frames out."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import RequestError
from fantasyportrait.pipelines.guidance import Guidance
from fantasyportrait.pipelines.motion_inputs import DrivenFace
from fantasyportrait.pipelines.portrait_pipeline import FantasyPortraitPipeline
from fantasyportrait.pipelines.time_windows import LONGEST_PASS_FRAMES, WINDOW_FRAMES
from fantasyportrait.runtime.memory import free_memory

StepWatch = Callable[[int, NDArray[np.uint8]], None]
"""Gets the number of steps done and a look at the latents, uint8 (H / 8, W / 8, 3)."""


@dataclass(frozen=True, eq=False)
class FaceJob:
    """One driven face: its number in the face map, features float32 (F, 554), strength, and which groups are on."""

    face: int
    features: NDArray[np.float32]
    strength: float = 1.0
    groups: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class VideoJob:
    """Everything that decides the frames but the weights.

    Attributes:
        pixels: uint8 (H, W, 3) RGB, both sides multiples of 16.
        faces: those that are driven.
        face_map: int32 (H, W), 0 background and i face i.
        frames: 4 k + 1.
        steps, seed, guidance, prompt, negative_prompt, batch_passes, longest_pass: as in the pipeline's call.
    """

    pixels: NDArray[np.uint8]
    faces: tuple[FaceJob, ...]
    face_map: NDArray[np.int32]
    frames: int
    steps: int = 30
    seed: int = 0
    guidance: Guidance = field(default_factory=Guidance)
    prompt: str = ""
    negative_prompt: str = ""
    batch_passes: bool = False
    longest_pass: int = LONGEST_PASS_FRAMES


def sample_video(
    pipeline: FantasyPortraitPipeline, job: VideoJob, watch: StepWatch, note: Callable[[str], None], cancel: CancelToken
) -> Iterator[NDArray[np.uint8]]:
    """Sample, then yield chunks of frames uint8 (n, H, W, 3), each decoded when it is asked for.

    A video that does not fit into memory in one pass is begun anew in windows; `note` is told. Raises `Cancelled`, and
    `RequestError` where that does not fit either.
    """
    tiled = pipeline.vae.use_tiling
    try:
        yield from _sampled_with_room(pipeline, job, watch, note, cancel)
        return
    except torch.OutOfMemoryError:
        pass  # said below: here the error would keep alive what did not fit
    finally:
        # Tiles that this video needed would change the numbers of the next one.
        if not tiled:
            pipeline.vae.disable_tiling()
    free_memory()
    height, width = job.pixels.shape[:2]
    passes = "separate passes, " if job.batch_passes else ""
    raise RequestError(
        f"{min(job.frames, WINDOW_FRAMES)} frames of {width} x {height} do not fit into the memory of this device: "
        f"choose {passes}a smaller video (max_side), or an offload that keeps less there (stream or sequential)"
    )


def _sampled_with_room(
    pipeline: FantasyPortraitPipeline, job: VideoJob, watch: StepWatch, note: Callable[[str], None], cancel: CancelToken
) -> Iterator[NDArray[np.uint8]]:
    """Sample now, in one pass or, where that does not fit, in windows; the chunks are decoded later."""
    try:
        return _sampled(pipeline, job, watch, cancel)
    except torch.OutOfMemoryError:
        if not WINDOW_FRAMES < job.frames <= job.longest_pass:
            raise
    # Outside of the handler, which keeps alive what did not fit.
    free_memory()
    note(f"{job.frames} frames in one pass do not fit into memory: they are sampled in windows of {WINDOW_FRAMES}")
    return _sampled(pipeline, replace(job, longest_pass=WINDOW_FRAMES), watch, cancel)


def _sampled(
    pipeline: FantasyPortraitPipeline, job: VideoJob, watch: StepWatch, cancel: CancelToken
) -> Iterator[NDArray[np.uint8]]:
    def on_step(
        pipe: FantasyPortraitPipeline, step: int, timestep: torch.Tensor, given: dict[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        watch(step + 1, pipe.latent_preview(given["denoised"]))
        return {}

    faces = [DrivenFace(f.face, torch.from_numpy(f.features), f.strength, f.groups) for f in job.faces]
    result = pipeline(
        job.pixels,
        faces,
        torch.from_numpy(job.face_map),
        prompt=job.prompt,
        negative_prompt=job.negative_prompt,
        num_frames=job.frames,
        num_inference_steps=job.steps,
        guidance=job.guidance,
        batch_passes=job.batch_passes,
        longest_pass=job.longest_pass,
        generator=torch.Generator().manual_seed(job.seed),
        callback_on_step_end=on_step,
        cancel=cancel,
        output_type="stream",
    )
    frames: Iterator[NDArray[np.uint8]] = result.frames
    return frames
