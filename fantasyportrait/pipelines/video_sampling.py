"""Runs a video job on a pipeline, from numpy arrays to chunks of frames, with fallbacks when memory runs out."""

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
from fantasyportrait.core.sentences import Sentence
from fantasyportrait.pipelines.lora_step_cache import set_lora, set_step_cache
from fantasyportrait.pipelines.portrait_pipeline import FantasyPortraitPipeline, StepCallback
from fantasyportrait.pipelines.time_windows import WINDOW_FRAMES
from fantasyportrait.pipelines.vae_latents import vae_on_cpu, vae_tiling
from fantasyportrait.runtime.memory import free_memory, is_out_of_memory
from fantasyportrait.runtime.process_group import ProcessGroup
from fantasyportrait.schema.driven_face import DrivenFace
from fantasyportrait.schema.events import Message, MessageCallback
from fantasyportrait.schema.motion_code import MotionCode
from fantasyportrait.schema.sampling import Sampling

PreviewCallback = Callable[[int, NDArray[np.uint8]], None]
"""Called after each step with the number of finished steps and a preview image, uint8 (H / 8, W / 8, 3)."""


SampleVideo = Callable[["VideoJob", PreviewCallback, MessageCallback, CancelToken], Iterator[NDArray[np.uint8]]]
"""`sample_video` with its pipeline."""


@dataclass(frozen=True, eq=False)
class VideoJob:
    """The inputs that decide the frames, apart from the weights; a process group broadcasts it to all ranks.

    Attributes:
        pixels: uint8 (H, W, 3) RGB, both sides multiples of 16.
        faces: every face of the portrait; one without a motion is left to the model.
        face_map: int32 (H, W), 0 background and i face i.
        frames: 4 k + 1.
        sampling: the request's, with `batch_passes` and `max_window_frames` as planned; both change if memory runs out.
        lora: file of the LoRA that `sampling` names, see `set_lora`.
        tiled_encode, tiled_decode: whether the VAE works in tiles from the start, since whole frames do not fit.
    """

    pixels: NDArray[np.uint8]
    faces: tuple[DrivenFace[MotionCode], ...]
    face_map: NDArray[np.int32]
    frames: int
    sampling: Sampling = field(default_factory=Sampling)
    lora: Path | None = None
    tiled_encode: bool = False
    tiled_decode: bool = False


class PipelineProvider(Protocol):
    """Provides the pipeline, and replaces it by one that needs less memory."""

    @property
    def pipeline(self) -> FantasyPortraitPipeline:
        """The pipeline on its device."""
        ...

    def fall_back(self, on_message: MessageCallback) -> bool:
        """Replace the pipeline by one that needs less device memory, and emit a message; False if there is none."""
        ...


def sample_video(
    source: PipelineProvider, job: VideoJob, watch: PreviewCallback, on_message: MessageCallback, cancel: CancelToken
) -> Iterator[NDArray[np.uint8]]:
    """Sample, then yield chunks of frames uint8 (n, H, W, 3), each decoded when it is requested.

    If memory runs out, sampling resumes after the last finished step with the next fallback: passes one by one, then a
    pipeline that needs less (`source.fall_back`), then windows of 81 frames. Decoding falls back to tiles, then to the
    CPU. `on_message` gets each fallback. Raises `Cancelled`, and `RequestError` if nothing fits.
    """
    # A random seed is drawn once, for all processes and all attempts.
    job = replace(job, sampling=job.sampling.with_random_seed())
    run = _VideoSampler(source, job, watch, on_message, cancel)
    while (latents := run.sampled()) is None:
        # Outside of the handler, whose exception keeps the tensors alive.
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

    It resumes from `latents`, as they were after `first_step` steps. Raises `Cancelled`, `torch.OutOfMemoryError`, and
    `WeightsError` for a LoRA that does not fit the model.
    """
    set_lora(pipeline, job.lora)
    set_step_cache(pipeline, job.sampling.step_cache, job.sampling.cache_threshold)
    with vae_tiling(pipeline.vae, job.tiled_encode):
        result = pipeline(
            job.pixels,
            job.faces,
            job.face_map,
            num_frames=job.frames,
            sampling=job.sampling,
            latents=latents,
            first_step=first_step,
            callback_on_step_end=on_step,
            callback_on_step_end_tensor_inputs=("latents", "denoised"),
            cancel=cancel,
            output_type="latent",
        )
    sampled: torch.Tensor = result.frames.cpu()
    return sampled


class _VideoSampler:
    """The state of a running job: finished steps, latents, and the fallbacks in use."""

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
        """Whether all frames have been decoded."""

    def sampled(self) -> torch.Tensor | None:
        """The latents of the whole video, on the CPU; None if memory ran out.

        A process group cannot resume, since the other ranks wait within the pass that failed: `RequestError`.
        """
        pipeline = self._source.pipeline
        process_group = pipeline.process_group or ProcessGroup(0, 1, torch.device("cpu"))
        try:
            # Errors of the LoRA are raised before the other ranks get the job.
            set_lora(pipeline, self._job.lora)
            with process_group.shared_job(self._job):
                return sample_latents(pipeline, self._job, self._on_step, self._cancel, self._latents, self._done)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            if process_group.size == 1:
                return None
        raise RequestError(
            "the memory of {device} ran out, and {size} processes cannot fall back: start "
            "them again with a profile that needs less, or with a smaller video (max_side)",
            device=process_group.device,
            size=process_group.size,
        )

    def decoded(self, latents: torch.Tensor, given: int) -> Iterator[NDArray[np.uint8]]:
        """The chunks after the first `given` ones; sets `complete` unless memory ran out."""
        pipeline = self._source.pipeline
        match = self._job.pixels if self._job.frames > self._job.sampling.max_window_frames else None
        try:
            with vae_tiling(pipeline.vae, self._job.tiled_decode):
                yield from itertools.islice(pipeline.decode(latents, match, self._host_vae), given, None)
            self.complete = True
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise

    def reduce_memory(self) -> None:
        """Take the next fallback; `RequestError` if there is none."""
        job = self._job
        sampling = job.sampling
        if sampling.batch_passes:
            self._job = replace(job, sampling=replace(sampling, batch_passes=False))
            text = "a step's passes do not fit into memory together: they are made one by one{rest}"
            self._on_message(Message(Sentence(text, rest=self._resume_suffix())))
        elif self._source.fall_back(self._on_message):
            return
        elif WINDOW_FRAMES < job.frames <= sampling.max_window_frames:
            self._job = replace(job, sampling=replace(sampling, max_window_frames=WINDOW_FRAMES))
            text = "{frames} frames in one pass do not fit into memory: they are sampled in windows of {window}{rest}"
            values = {"frames": job.frames, "window": WINDOW_FRAMES, "rest": self._resume_suffix()}
            self._on_message(Message(Sentence(text, **values)))
        else:
            height, width = job.pixels.shape[:2]
            raise RequestError(
                "{frames} frames of {width} x {height} do not fit into the memory of this "
                "device: choose a smaller video (max_side), or a profile that keeps less there (stream or sequential)",
                frames=min(job.frames, WINDOW_FRAMES),
                width=width,
                height=height,
            )

    def reduce_decode_memory(self) -> None:
        """Decode on the CPU, after small tiles did not fit either; `RequestError` if it is there already."""
        vae = self._source.pipeline.vae
        height, width = self._job.pixels.shape[:2]
        cannot = f"frames of {width} x {height} cannot be decoded in the memory of this device, not even in small tiles"
        if self._host_vae is not None or get_module_execution_device(vae).type == "cpu":
            raise RequestError(
                "{cannot}: choose a smaller video (max_side), or close what else uses the memory", cannot=cannot
            )
        self._host_vae = vae_on_cpu(vae)
        self._on_message(
            Message(Sentence("{cannot}: they are decoded on the CPU, which takes many times as long", cannot=cannot))
        )

    def _resume_suffix(self) -> str:
        return f", from step {self._done + 1} on" if self._done else ""

    def _on_step(
        self, pipe: FantasyPortraitPipeline, step: int, timestep: torch.Tensor, given: dict[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        # Kept on the CPU, to resume from after any error of the device.
        self._latents, self._done = given["latents"].cpu(), step + 1
        self._watch(step + 1, pipe.preview_image(given["denoised"]))
        return {}
