"""The pipeline for who knows no torch: arrays in, chunks of frames out."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from diffusers import AutoencoderKLWan
from diffusers.utils.torch_utils import get_module_execution_device
from numpy.typing import NDArray

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import RequestError
from fantasyportrait.pipelines.lora_step_cache import StepCache, set_lora, set_step_cache
from fantasyportrait.pipelines.portrait_pipeline import FantasyPortraitPipeline, StepCallback
from fantasyportrait.pipelines.time_windows import MAX_WINDOW_FRAMES, WINDOW_FRAMES
from fantasyportrait.pipelines.vae_latents import vae_on_cpu, vae_tiling
from fantasyportrait.runtime.memory import free_memory, is_out_of_memory
from fantasyportrait.runtime.process_group import ProcessGroup
from fantasyportrait.schema.driven_face import DrivenFace
from fantasyportrait.schema.events import Message, MessageCallback
from fantasyportrait.schema.guidance import Guidance
from fantasyportrait.schema.motion_code import MotionCode

PreviewCallback = Callable[[int, NDArray[np.uint8]], None]
"""Gets the number of steps done and a preview image of the latents, uint8 (H / 8, W / 8, 3)."""


@dataclass(frozen=True, eq=False)
class VideoJob:
    """Everything that decides the frames but the weights.

    Attributes:
        pixels: uint8 (H, W, 3) RGB, both sides multiples of 16.
        faces: every face of the portrait; one without a motion is left to the model.
        face_map: int32 (H, W), 0 background and i face i.
        frames: 4 k + 1.
        steps, seed, guidance, prompt, negative_prompt, batch_passes, max_window_frames: as in the pipeline's call.
        lora: a file for few steps, see `set_lora`.
        step_cache, cache_threshold: see `set_step_cache`.
        tiled_encode, tiled_decode: do so in tiles from the start, where the whole is known not to fit.
    """

    pixels: NDArray[np.uint8]
    faces: tuple[DrivenFace[MotionCode], ...]
    face_map: NDArray[np.int32]
    frames: int
    steps: int = 30
    seed: int = 0
    guidance: Guidance = field(default_factory=Guidance)
    prompt: str = ""
    negative_prompt: str = ""
    batch_passes: bool = False
    max_window_frames: int = MAX_WINDOW_FRAMES
    lora: Path | None = None
    step_cache: StepCache = "none"
    cache_threshold: float = 0.1
    tiled_encode: bool = False
    tiled_decode: bool = False


class PipelineProvider(Protocol):
    """Where the pipeline comes from, and one that needs less memory."""

    @property
    def pipeline(self) -> FantasyPortraitPipeline:
        """The pipeline, placed."""
        ...

    def fall_back(self, on_message: MessageCallback) -> bool:
        """Replace the pipeline by one that needs less device memory, and emit a message; False where there is none."""
        ...


@dataclass(frozen=True)
class Fixed:
    """A pipeline that stays as it is."""

    pipeline: FantasyPortraitPipeline

    def fall_back(self, on_message: MessageCallback) -> bool:
        """There is none."""
        return False


def sample_video(
    source: PipelineProvider, job: VideoJob, watch: PreviewCallback, on_message: MessageCallback, cancel: CancelToken
) -> Iterator[NDArray[np.uint8]]:
    """Sample, then yield chunks of frames uint8 (n, H, W, 3), each decoded when it is asked for.

    Where memory runs out the work goes on from the last finished step with less: passes one by one, then a pipeline
    that needs less (`source.fall_back`), then windows of 81 frames. Decoding goes on in tiles by itself, then on the
    CPU. `on_message` gets each of these changes. Raises `Cancelled`, and `RequestError` where nothing fits.
    """
    run = _VideoSampler(source, job, watch, on_message, cancel)
    while (latents := run.sampled()) is None:
        # Here and not where it happened: an error that is being handled keeps alive what did not fit.
        free_memory()
        run.reduce_memory()
    given = 0
    while not run.complete:
        for chunk in run.decoded(latents, given):
            yield chunk
            given += 1
        if not run.complete:
            free_memory()
            run.reduce_decode_memory()


def sample_latents(
    pipeline: FantasyPortraitPipeline,
    job: VideoJob,
    on_step: StepCallback | None = None,
    cancel: CancelToken | None = None,
    latents: torch.Tensor | None = None,
    first_step: int = 0,
) -> torch.Tensor:
    """The latents of the whole video, float32 (1, 16, F_lat, H / 8, W / 8) on the CPU, not decoded.

    It goes on from `latents`, as they were after `first_step` steps. Raises `Cancelled`, `torch.OutOfMemoryError`, and
    `WeightsError` for a LoRA that does not fit.
    """
    set_lora(pipeline, job.lora)
    set_step_cache(pipeline, job.step_cache, job.cache_threshold)
    with vae_tiling(pipeline.vae, job.tiled_encode):
        result = pipeline(
            job.pixels,
            job.faces,
            job.face_map,
            prompt=job.prompt,
            negative_prompt=job.negative_prompt,
            num_frames=job.frames,
            num_inference_steps=job.steps,
            guidance=job.guidance,
            batch_passes=job.batch_passes,
            max_window_frames=job.max_window_frames,
            generator=torch.Generator().manual_seed(job.seed),
            latents=latents,
            first_step=first_step,
            callback_on_step_end=on_step,
            cancel=cancel,
            output_type="latent",
        )
    sampled: torch.Tensor = result.frames.cpu()
    return sampled


class _VideoSampler:
    """One job under way: what is finished, and how it is computed now."""

    def __init__(
        self,
        source: PipelineProvider,
        job: VideoJob,
        watch: PreviewCallback,
        on_message: MessageCallback,
        cancel: CancelToken,
    ) -> None:
        self._source, self._job, self._watch, self._on_message, self._cancel = source, job, watch, on_message, cancel
        self._done = 0
        self._latents: torch.Tensor | None = None
        self._host_vae: AutoencoderKLWan | None = None
        self.complete = False
        """All frames have been decoded."""

    def sampled(self) -> torch.Tensor | None:
        """The latents of the whole video, on the CPU; None where memory ran out on the way.

        In a process group nobody can go back: the others wait for the pass that failed.
        """
        pipeline = self._source.pipeline
        process_group = pipeline.process_group or ProcessGroup(0, 1, torch.device("cpu"))
        try:
            # What is wrong with it is found before the others are told of the job.
            set_lora(pipeline, self._job.lora)
            with process_group.shared_job(self._job):
                return sample_latents(pipeline, self._job, self._on_step, self._cancel, self._latents, self._done)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            if process_group.size == 1:
                return None
        raise RequestError(
            f"the memory of {process_group.device} ran out, and {process_group.size} processes cannot go on with "
            "less: start them again "
            "with a profile that needs less, or a smaller video (max_side)"
        )

    def decoded(self, latents: torch.Tensor, given: int) -> Iterator[NDArray[np.uint8]]:
        """The chunks after the first `given` ones; sets `complete` unless memory ran out."""
        pipeline = self._source.pipeline
        match = self._job.pixels if self._job.frames > self._job.max_window_frames else None
        try:
            with vae_tiling(pipeline.vae, self._job.tiled_decode):
                yield from itertools.islice(pipeline.decode(latents, match, self._host_vae), given, None)
            self.complete = True
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise

    def reduce_memory(self) -> None:
        """Need less from here on; `RequestError` where that is not possible."""
        job = self._job
        if job.batch_passes:
            self._job = replace(job, batch_passes=False)
            text = "a step's passes do not fit into memory together: they are made one by one"
            self._on_message(Message(f"{text}{self._resume_suffix()}"))
        elif self._source.fall_back(self._on_message):
            return
        elif WINDOW_FRAMES < job.frames <= job.max_window_frames:
            self._job = replace(job, max_window_frames=WINDOW_FRAMES)
            text = f"{job.frames} frames in one pass do not fit into memory"
            windows = f"they are sampled in windows of {WINDOW_FRAMES}{self._resume_suffix()}"
            self._on_message(Message(f"{text}: {windows}"))
        else:
            height, width = job.pixels.shape[:2]
            raise RequestError(
                f"{min(job.frames, WINDOW_FRAMES)} frames of {width} x {height} do not fit into the memory of this "
                "device: choose a smaller video (max_side), or a profile that keeps less there (stream or sequential)"
            )

    def reduce_decode_memory(self) -> None:
        """The same for decoding, which has tried small tiles before: no other profile needs less than those."""
        vae = self._source.pipeline.vae
        height, width = self._job.pixels.shape[:2]
        cannot = f"frames of {width} x {height} cannot be decoded in the memory of this device, not even in small tiles"
        if self._host_vae is not None or get_module_execution_device(vae).type == "cpu":
            raise RequestError(f"{cannot}: choose a smaller video (max_side), or close what else uses the memory")
        self._host_vae = vae_on_cpu(vae)
        self._on_message(Message(f"{cannot}: they are decoded on the CPU, which takes many times as long"))

    def _resume_suffix(self) -> str:
        return f", from step {self._done + 1} on" if self._done else ""

    def _on_step(
        self, pipe: FantasyPortraitPipeline, step: int, timestep: torch.Tensor, given: dict[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        # On the CPU: whatever happens to the device, this much is done.
        self._latents, self._done = given["latents"].cpu(), step + 1
        self._watch(step + 1, pipe.preview_image(given["denoised"]))
        return {}
