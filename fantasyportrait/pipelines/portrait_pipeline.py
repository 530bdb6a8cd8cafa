"""The FantasyPortrait pipeline: from a portrait and a motion for each face to a video."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from diffusers import AutoencoderKLWan, DiffusionPipeline, FlowMatchEulerDiscreteScheduler
from diffusers.callbacks import MultiPipelineCallbacks, PipelineCallback
from diffusers.loaders import WanLoraLoaderMixin
from diffusers.pipelines.wan.pipeline_output import WanPipelineOutput
from diffusers.utils.torch_utils import randn_tensor
from diffusers.video_processor import VideoProcessor
from numpy.typing import NDArray
from torch.nn import functional
from transformers import CLIPImageProcessorPil, CLIPVisionModel, PreTrainedTokenizerBase, UMT5EncoderModel

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.models.diffusers_compat import execution_device, step_cache_name
from fantasyportrait.models.motion_adapter import MotionAdapter
from fantasyportrait.models.token_windows import FRAMES_PER_LATENT, latent_frames
from fantasyportrait.models.transformer import FantasyPortraitTransformer3DModel
from fantasyportrait.pipelines.colour_match import ColourMatch
from fantasyportrait.pipelines.denoising import Conditioning, WindowInputs, guided_velocity, prepare_windows
from fantasyportrait.pipelines.latent_preview import fit_rgb_factors, latents_to_rgb
from fantasyportrait.pipelines.motion_conditioning import MotionConditioning, motion_conditioning, token_labels
from fantasyportrait.pipelines.portrait_encoder import PortraitEncoder, to_tensor
from fantasyportrait.pipelines.prompt_encoder import MAX_SEQUENCE_LENGTH, text_states
from fantasyportrait.pipelines.time_windows import OVERLAP_FRAMES, WINDOW_FRAMES, blend_weights, time_windows
from fantasyportrait.pipelines.vae_latents import decode_with_fallback, encode_video
from fantasyportrait.runtime.process_group import ProcessGroup
from fantasyportrait.schema.driven_face import DrivenFace
from fantasyportrait.schema.guidance import needs_negative_prompt, step_passes
from fantasyportrait.schema.motion_code import MotionCode
from fantasyportrait.schema.sampling import Sampling

SIDE_MULTIPLE = 16
# Step caches without cache contexts: they would reuse the state of one pass or window for another, and portrait
# guidance would silently have no effect.
_CONTEXT_FREE_CACHES = ("PyramidAttentionBroadcastConfig", "FasterCacheConfig")

_PROMPT_EMBEDS = ("prompt_embeds", "negative_prompt_embeds")

StepCallback = Callable[
    ["FantasyPortraitPipeline", int, torch.Tensor, dict[str, torch.Tensor]], dict[str, torch.Tensor]
]
"""Diffusers' `callback_on_step_end`: (pipeline, step, timestep, tensors) -> the tensors that it replaces."""


class FantasyPortraitPipeline(DiffusionPipeline, WanLoraLoaderMixin):
    """Wan2.1 image-to-video with motion attention. Without driven faces it samples as the stock pipeline does.

    It does not inherit `WanImageToVideoPipeline`: image, motion and `Sampling` replace that pipeline's arguments.
    """

    model_cpu_offload_seq = "text_encoder->image_encoder->motion_adapter->transformer->vae"
    _optional_components = ["tokenizer", "text_encoder", "image_encoder", "image_processor"]  # noqa: RUF012
    _callback_tensor_inputs = ["latents", "denoised", *_PROMPT_EMBEDS]  # noqa: RUF012

    def __init__(
        self,
        transformer: FantasyPortraitTransformer3DModel,
        motion_adapter: MotionAdapter,
        vae: AutoencoderKLWan,
        scheduler: FlowMatchEulerDiscreteScheduler,
        image_encoder: CLIPVisionModel | None = None,
        image_processor: CLIPImageProcessorPil | None = None,
        tokenizer: PreTrainedTokenizerBase | None = None,
        text_encoder: UMT5EncoderModel | None = None,
    ) -> None:
        super().__init__()
        self.register_modules(
            transformer=transformer,
            motion_adapter=motion_adapter,
            vae=vae,
            scheduler=scheduler,
            image_encoder=image_encoder,
            image_processor=image_processor,
            tokenizer=tokenizer,
            text_encoder=text_encoder,
        )
        self.vae_scale_factor_temporal = vae.config.scale_factor_temporal
        self.vae_scale_factor_spatial = vae.config.scale_factor_spatial
        self.video_processor = VideoProcessor(vae_scale_factor=self.vae_scale_factor_spatial)
        self.prompt_encoder: Callable[[str], torch.Tensor] | None = None
        """Gives the hidden states (tokens, text_dim) of a prompt if no text encoder is loaded (see `PromptEncoder`)."""
        self.process_group: ProcessGroup | None = None
        """The processes that share each step; None for one process."""
        self._portrait_encoder = PortraitEncoder()
        self._rgb_factors: torch.Tensor | None = None
        self._interrupt = False
        self._num_timesteps = 0

    @property
    def interrupt(self) -> bool:
        """Whether the remaining steps are skipped; as in diffusers, a callback sets `_interrupt`."""
        return self._interrupt

    @property
    def num_timesteps(self) -> int:
        """The steps of the current or last call."""
        return self._num_timesteps

    @torch.no_grad()
    def __call__(
        self,
        image: NDArray[np.uint8],
        driven: Sequence[DrivenFace[MotionCode]],
        face_map: NDArray[np.integer] | None = None,
        num_frames: int = WINDOW_FRAMES,
        sampling: Sampling = Sampling(),  # noqa: B008 - frozen
        latents: torch.Tensor | None = None,
        first_step: int = 0,
        callback_on_step_end: StepCallback | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",),
        cancel: CancelToken | None = None,
        output_type: str = "np",
    ) -> WanPipelineOutput:
        """Make a video of a portrait.

        Args:
            image: uint8 (H, W, 3) RGB, both sides multiples of 16.
            driven: the faces, each motion with a row for every frame; faces without a motion, and faces of the map that
                are not among them, are left to the base model.
            face_map: int (H, W), 0 background and i face i; None: one face that covers the whole image.
            num_frames: 4 k + 1.
            sampling: seed, steps, guidance, prompts, batch and windows. `batch_passes` None means false here. LoRA and
                step cache are set on the pipeline beforehand (`set_lora`, `set_step_cache`).
            latents: noise (1, 16, F_lat, H / 8, W / 8) in place of the seed's, which is drawn on the CPU.
            first_step: resume at this step with `latents` as they were after that many steps.
            callback_on_step_end: as in diffusers, called after each step; the tensors it returns replace the
                pipeline's.
            callback_on_step_end_tensor_inputs: the tensors it gets, of latents, prompt_embeds, negative_prompt_embeds
                and denoised (the latents that the step predicts without noise).
            cancel: checked before every pass.
            output_type: "np" for frames uint8 (1, F, H, W, 3), "latent", or "stream" for an iterator over chunks of
                frames, each decoded when it is requested.

        Raises:
            ValueError: an input does not fit; the message says which.
            Cancelled: by `cancel`.
        """
        if isinstance(callback_on_step_end, PipelineCallback | MultiPipelineCallbacks):
            callback_on_step_end_tensor_inputs = callback_on_step_end.tensor_inputs
        self.check_inputs(image, driven, num_frames, callback_on_step_end_tensor_inputs)
        if first_step and latents is None:
            raise ValueError(f"first_step is {first_step} without latents: give the latents after that many steps")
        if cancel is not None:
            cancel.check()
        self._interrupt = False
        try:
            prompt = self.encode_prompt(sampling.prompt)
            negative = self.encode_prompt(sampling.negative_prompt) if needs_negative_prompt(sampling) else None
            context = Conditioning(prompt, negative, self.encode_image(image))
            windows = self._window_inputs(image, driven, face_map, num_frames, sampling.max_window_frames)
            generator = torch.Generator().manual_seed(sampling.with_random_seed().seed)
            noise = self.prepare_latents(image.shape[0], image.shape[1], num_frames, generator, latents)
            if callback_on_step_end is not None:
                self._get_rgb_factors()
            # Only the transformer is needed from here on: offload the other models before the long loop.
            self.maybe_free_model_hooks()
            sampled = self.denoise(
                *(noise, windows, context, sampling, first_step),
                callback_on_step_end,
                callback_on_step_end_tensor_inputs,
                cancel,
            )
        finally:
            # Also after an error: a transformer left on the GPU would meet the next video's models there.
            self.maybe_free_model_hooks()
        if output_type == "latent":
            return WanPipelineOutput(frames=sampled)
        chunks = self.decode(sampled, image if len(windows) > 1 else None)
        return WanPipelineOutput(frames=chunks if output_type == "stream" else np.concatenate([*chunks])[None])

    def check_inputs(
        self,
        image: NDArray[np.uint8],
        driven: Sequence[DrivenFace[MotionCode]],
        num_frames: int,
        callback_on_step_end_tensor_inputs: Sequence[str] = (),
    ) -> None:
        """Raise `ValueError` for inputs that do not fit."""
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(f"image is {image.dtype} {image.shape}: give uint8 (H, W, 3) RGB")
        if image.shape[0] % SIDE_MULTIPLE or image.shape[1] % SIDE_MULTIPLE:
            raise ValueError(
                f"the image is {image.shape[1]} x {image.shape[0]}: both sides must be multiples of {SIDE_MULTIPLE}"
            )
        latent_frames(num_frames)
        for each in driven:
            if each.motion is None:
                continue
            if not isinstance(each.motion, MotionCode):
                raise ValueError(f"face {each.face.id} plays a {type(each.motion).__name__}: give a MotionCode")
            if len(each.frame_rows) != num_frames:
                raise ValueError(
                    f"face {each.face.id} plays {len(each.frame_rows)} rows in {num_frames} frames: give one a frame"
                )
        unknown = [name for name in callback_on_step_end_tensor_inputs if name not in self._callback_tensor_inputs]
        if unknown:
            raise ValueError(
                f"callback_on_step_end_tensor_inputs has {unknown[0]!r}: give some of "
                f"{', '.join(self._callback_tensor_inputs)}"
            )
        cache = step_cache_name(self.transformer)
        if cache in _CONTEXT_FREE_CACHES:
            raise ValueError(
                f"{cache.removesuffix('Config')} mixes passes and windows, so portrait guidance would vanish: use "
                "FirstBlockCache or MagCache"
            )

    def encode_prompt(self, prompt: str) -> torch.Tensor:
        """UMT5's hidden states (1, 512, text_dim) of a prompt, zero-padded, in the transformer's dtype."""
        if self.prompt_encoder is not None:
            states = self.prompt_encoder(prompt)
        elif self.text_encoder is not None and self.tokenizer is not None:
            states = text_states(self.text_encoder, self.tokenizer, prompt)
        else:
            raise ValueError("a prompt, even an empty one, needs a text encoder: load it, or set `prompt_encoder`")
        states = states.to(execution_device(self), self.transformer.dtype)
        return functional.pad(states, (0, 0, 0, MAX_SEQUENCE_LENGTH - len(states))).unsqueeze(0)

    def encode_image(self, image: NDArray[np.uint8]) -> torch.Tensor | None:
        """CLIP's hidden states (1, 257, 1280) of the whole image; None without CLIP. See `PortraitEncoder`."""
        if self.image_encoder is None:
            return None
        device = execution_device(self)
        states = self._portrait_encoder(self.image_encoder, self.image_processor, image, device)
        return states.to(device, self.transformer.dtype)

    def encode_motion(
        self, driven: Sequence[DrivenFace[MotionCode]], face_map: NDArray[np.integer] | None
    ) -> MotionConditioning | None:
        """Motion tokens, mask and scale of the driven faces for one window of time; None where no face is driven."""
        if face_map is None:
            if len(driven) > 1:
                raise ValueError(f"{len(driven)} faces are driven but there is no face map: say where each face is")
            face_map = np.full((SIDE_MULTIPLE, SIDE_MULTIPLE), driven[0].face.id if driven else 0)
        return motion_conditioning(self.motion_adapter, driven, token_labels(face_map))

    def prepare_condition(self, image: NDArray[np.uint8], frames: int) -> torch.Tensor:
        """Wan's image condition (1, 20, F_lat, H / 8, W / 8): 4 mask channels, then 16 of (image, zeros)."""
        height, width = image.shape[:2]
        video = torch.zeros(1, 3, frames, height, width)
        video[:, :, 0] = to_tensor(image)
        latents = encode_video(self.vae, video, alone=self.process_group is None or self.process_group.size == 1)
        mask = torch.zeros(1, FRAMES_PER_LATENT, *latents.shape[2:], device=latents.device)
        mask[:, :, 0] = 1
        return torch.cat([mask, latents], dim=1).to(execution_device(self))

    def prepare_latents(
        self,
        height: int,
        width: int,
        num_frames: int,
        generator: torch.Generator | None = None,
        latents: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Float32 noise (1, 16, F_lat, H / 8, W / 8), drawn on the CPU."""
        scale = self.vae_scale_factor_spatial
        shape = (1, self.vae.config.z_dim, latent_frames(num_frames), height // scale, width // scale)
        if latents is None:
            latents = randn_tensor(shape, generator=generator, device=torch.device("cpu"), dtype=torch.float32)
        if latents.shape != shape:
            raise ValueError(f"the latents have shape {tuple(latents.shape)}: {shape} is needed")
        return latents.to(execution_device(self), torch.float32)

    def prepare_timesteps(self, steps: int) -> torch.Tensor:
        """The original schedule: sigmas from 1 towards 0 in equal steps, then shifted by the scheduler (5)."""
        sigmas = np.linspace(1.0, 0.0, steps + 1)[:-1].tolist()
        self.scheduler.set_timesteps(sigmas=sigmas, device=execution_device(self))
        return self.scheduler.timesteps

    @torch.no_grad()
    def denoise(
        self,
        latents: torch.Tensor,
        windows: Sequence[WindowInputs],
        context: Conditioning,
        sampling: Sampling,
        first_step: int = 0,
        callback_on_step_end: StepCallback | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",),
        cancel: CancelToken | None = None,
    ) -> torch.Tensor:
        """Denoised latents (1, 16, F_lat, h, w), from noise or from the latents after `first_step` steps.

        The windows' velocities are blended in every step, so that no seams form between them.
        """
        spans = tuple(inputs.window for inputs in windows)
        weights = [weight.to(latents.device).view(1, 1, -1, 1, 1) for weight in blend_weights(spans)]
        windows = prepare_windows(windows, latents.device, self.transformer.dtype)
        timesteps = self.prepare_timesteps(sampling.num_inference_steps)
        self._num_timesteps = len(timesteps)
        self.scheduler.set_begin_index(first_step)
        with self.progress_bar(total=len(timesteps) - first_step) as bar:
            for step, timestep in itertools.islice(enumerate(timesteps), first_step, None):
                if self.interrupt:
                    if self.process_group is not None and self.process_group.is_main_process:
                        self.process_group.broadcast_stop()
                    break
                velocity = torch.zeros_like(latents)
                for inputs, weight in zip(windows, weights, strict=True):
                    passes = step_passes(sampling, step, inputs.motion is not None)
                    groups = [passes] if sampling.batch_passes else [(each,) for each in passes]
                    span = slice(inputs.window.start, inputs.window.stop)
                    part = guided_velocity(
                        self.transformer,
                        latents[:, :, span],
                        timestep,
                        inputs,
                        context,
                        groups,
                        cancel,
                        self.process_group,
                    )
                    velocity[:, :, span] += part * weight
                # The video that the model predicts at this step: the latents without the remaining noise.
                denoised = latents - self.scheduler.sigmas[step] * velocity
                latents = self.scheduler.step(velocity, timestep, latents, return_dict=False)[0]
                if callback_on_step_end is not None:
                    tensors = {"latents": latents, "denoised": denoised, **vars(context)}
                    given = {name: tensors[name] for name in callback_on_step_end_tensor_inputs}
                    changed = callback_on_step_end(self, step, timestep, given)
                    latents = changed.get("latents", latents)
                    embeds = {name: changed[name] for name in _PROMPT_EMBEDS if name in changed}
                    context = replace(context, **embeds)
                bar.update()
        return latents

    def decode(
        self,
        latents: torch.Tensor,
        match_colour: NDArray[np.uint8] | None = None,
        vae: AutoencoderKLWan | None = None,
    ) -> Iterator[NDArray[np.uint8]]:
        """Chunks of frames uint8 (n, H, W, 3), decoded by `vae`, by default the pipeline's own.

        With an image as `match_colour`, the frames are matched to its colours.
        """
        match = None if match_colour is None else ColourMatch(match_colour)
        try:
            for frames in _without_gradients(decode_with_fallback(self.vae if vae is None else vae, latents)):
                yield frames if match is None else match(frames)
        finally:
            self.maybe_free_model_hooks()

    def preview_image(self, latents: torch.Tensor) -> NDArray[np.uint8]:
        """A preview image, uint8 (H / 8, W / 8, 3), of the middle latent frame, without decoding it."""
        return latents_to_rgb(latents, self._get_rgb_factors(), latents.shape[2] // 2)

    def _get_rgb_factors(self) -> torch.Tensor:
        """The map from latents to RGB, fitted once, before sampling: it needs the VAE, which would offload the
        transformer."""
        if self._rgb_factors is None:
            with torch.no_grad():
                self._rgb_factors = fit_rgb_factors(self.vae)
        return self._rgb_factors

    def _window_inputs(
        self,
        image: NDArray[np.uint8],
        driven: Sequence[DrivenFace[MotionCode]],
        face_map: NDArray[np.integer] | None,
        num_frames: int,
        max_window_frames: int,
    ) -> list[WindowInputs]:
        """The windows with their conditions and motions."""
        whole = num_frames <= max_window_frames
        length = latent_frames(num_frames if whole else WINDOW_FRAMES)
        windows = time_windows(latent_frames(num_frames), length, OVERLAP_FRAMES // FRAMES_PER_LATENT)
        condition = self.prepare_condition(image, FRAMES_PER_LATENT * (length - 1) + 1)
        planned = []
        for window in windows:
            cut = [replace(each, rows=each.frame_rows[window.frames]) for each in driven]
            planned.append(WindowInputs(window, condition, self.encode_motion(cut, face_map)))
        return planned


def _without_gradients(chunks: Iterator[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
    """The same chunks, each computed without gradients; a generator would run outside of the caller's `no_grad`."""
    while True:
        with torch.no_grad():
            chunk = next(chunks, None)
        if chunk is None:
            return
        yield chunk
