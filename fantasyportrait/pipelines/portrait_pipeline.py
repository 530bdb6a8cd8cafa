"""The FantasyPortrait pipeline: a portrait and motion features become a video in which each face acts its own."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from diffusers import AutoencoderKLWan, DiffusionPipeline, FlowMatchEulerDiscreteScheduler, WanImageToVideoPipeline
from diffusers.pipelines.wan.pipeline_output import WanPipelineOutput
from diffusers.utils.torch_utils import randn_tensor
from diffusers.video_processor import VideoProcessor
from numpy.typing import NDArray
from torch.nn import functional
from transformers import CLIPImageProcessorPil, CLIPVisionModel, PreTrainedTokenizerBase, UMT5EncoderModel

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.models.motion_adapter import MotionAdapter
from fantasyportrait.models.token_windows import FRAMES_PER_LATENT, latent_frames
from fantasyportrait.models.transformer import FantasyPortraitTransformer3DModel
from fantasyportrait.pipelines.colour_match import ColourMatch
from fantasyportrait.pipelines.denoising import Conditioning, WindowInputs, guided_velocity, prepare_windows
from fantasyportrait.pipelines.latent_preview import fit_rgb_factors, latents_to_rgb
from fantasyportrait.pipelines.motion_conditioning import MotionConditioning, motion_conditioning, token_labels
from fantasyportrait.pipelines.portrait_encoder import PortraitEncoder, to_tensor
from fantasyportrait.pipelines.time_windows import (
    MAX_WINDOW_FRAMES,
    OVERLAP_FRAMES,
    WINDOW_FRAMES,
    blend_weights,
    time_windows,
)
from fantasyportrait.pipelines.vae_latents import decode_with_fallback, encode_video
from fantasyportrait.runtime.process_group import ProcessGroup
from fantasyportrait.schema.driven_face import DrivenFace
from fantasyportrait.schema.guidance import Guidance, needs_negative_prompt
from fantasyportrait.schema.motion_code import MotionCode

MAX_SEQUENCE_LENGTH = 512
SIDE_MULTIPLE = 16
# Step caches that know no context: they give one pass or window what they kept of another, and the portrait guidance
# vanishes without a word.
_CONTEXT_FREE_CACHES = ("PyramidAttentionBroadcastConfig", "FasterCacheConfig")

StepCallback = Callable[
    ["FantasyPortraitPipeline", int, torch.Tensor, dict[str, torch.Tensor]], dict[str, torch.Tensor]
]


class FantasyPortraitPipeline(WanImageToVideoPipeline):
    """Wan2.1 image-to-video with motion attention. Without driven faces it is the stock pipeline's sampling."""

    model_cpu_offload_seq = "text_encoder->image_encoder->motion_adapter->transformer->vae"
    _optional_components = ["tokenizer", "text_encoder", "image_encoder", "image_processor"]  # noqa: RUF012
    _callback_tensor_inputs = ["latents", "denoised"]  # noqa: RUF012 - diffusers' own way

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
        # Not the stock constructor: Wan 2.2's second transformer and its settings have no place here.
        DiffusionPipeline.__init__(self)
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
        """Gives a prompt's states (tokens, text_dim) where no text encoder is loaded (see `PromptEncoder`)."""
        self.process_group: ProcessGroup | None = None
        """The processes that share each step, where torchrun started several."""
        self._portrait_encoder = PortraitEncoder()
        self._rgb_factors: torch.Tensor | None = None

    @torch.no_grad()
    def __call__(
        self,
        image: NDArray[np.uint8],
        driven: Sequence[DrivenFace[MotionCode]],
        face_map: NDArray[np.integer] | None = None,
        prompt: str = "",
        negative_prompt: str = "",
        num_frames: int = WINDOW_FRAMES,
        num_inference_steps: int = 30,
        guidance: Guidance = Guidance(),  # noqa: B008 - frozen
        batch_passes: bool = False,
        max_window_frames: int = MAX_WINDOW_FRAMES,
        generator: torch.Generator | None = None,
        latents: torch.Tensor | None = None,
        first_step: int = 0,
        callback_on_step_end: StepCallback | None = None,
        cancel: CancelToken | None = None,
        output_type: str = "np",
    ) -> WanPipelineOutput:
        """Make a video of a portrait.

        Args:
            image: uint8 (H, W, 3) RGB, both sides multiples of 16.
            driven: the faces, each motion with a row for every frame; those without a motion, and faces of the map that
                are not among them, are left to the base model.
            face_map: int (H, W), 0 background and i face i; None: one face, to which the whole picture attends.
            prompt, negative_prompt: what is shown, or not; the negative one is read where guidance.text != 1.
            num_frames: 4 k + 1.
            num_inference_steps: 30 as in the original.
            guidance: the scales; the original ones are text 1 and portrait 4 (paper: 4.5).
            batch_passes: run a step's passes as one batch: more memory, weights read once.
            max_window_frames: up to so many frames are sampled in one pass, longer videos in overlapping windows of 81.
            generator: on the CPU, so that a seed means the same on every machine.
            latents: the noise (1, 16, F_lat, H / 8, W / 8), if not to be drawn.
            first_step: go on from there with `latents` as they were after that many steps.
            callback_on_step_end: as in diffusers, with `latents` in its dictionary, which it may change, and
                `denoised`, what they would be without the noise left.
            cancel: asked before every pass.
            output_type: "np" for frames uint8 (1, F, H, W, 3), "latent", or "stream" for an iterator over chunks of
                frames, which frees each before it decodes the next.

        Raises:
            ValueError: an input does not fit; the sentence says which.
            Cancelled: by `cancel`.
        """
        self.check_inputs(image, driven, num_frames, max_window_frames)
        if first_step and latents is None:
            raise ValueError(f"sampling cannot go on at step {first_step} without latents: give them")
        if cancel is not None:
            cancel.check()
        try:
            text = self.encode_prompt(prompt)
            negative = self.encode_prompt(negative_prompt) if needs_negative_prompt(guidance) else None
            context = Conditioning(text, negative, self.encode_image(image))
            windows = self._plan(image, driven, face_map, num_frames, max_window_frames)
            noise = self.prepare_latents(image.shape[0], image.shape[1], num_frames, generator, latents)
            if callback_on_step_end is not None:
                self._get_rgb_factors()
            # Everything but the transformer has done its part: let offloaded modules go before the long loop.
            self.maybe_free_model_hooks()
            steps = self.prepare_timesteps(num_inference_steps)
            sampled = self.denoise(
                noise, windows, context, guidance, steps, batch_passes, first_step, callback_on_step_end, cancel
            )
        finally:
            # Whatever happened: a transformer left on the GPU would meet the next video's models there.
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
        max_window_frames: int,
    ) -> None:
        """Refuse what cannot work, in a sentence (`ValueError`)."""
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(f"image is {image.dtype} {image.shape}: give uint8 (H, W, 3) RGB")
        if image.shape[0] % SIDE_MULTIPLE or image.shape[1] % SIDE_MULTIPLE:
            raise ValueError(
                f"the image is {image.shape[1]} x {image.shape[0]}: both sides must be multiples of {SIDE_MULTIPLE}"
            )
        latent_frames(num_frames)
        latent_frames(max_window_frames)
        for each in driven:
            if each.motion is None:
                continue
            if not isinstance(each.motion, MotionCode):
                raise ValueError(f"face {each.face.id} plays a {type(each.motion).__name__}: give a MotionCode")
            if len(each.frame_rows) != num_frames:
                raise ValueError(
                    f"face {each.face.id} plays {len(each.frame_rows)} rows in {num_frames} frames: give one a frame"
                )
        cache = type(self.transformer._cache_config).__name__
        if cache in _CONTEXT_FREE_CACHES:
            raise ValueError(
                f"{cache.removesuffix('Config')} mixes passes and windows, so portrait guidance would vanish: use "
                "FirstBlockCache or MagCache"
            )

    def encode_prompt(self, prompt: str) -> torch.Tensor:
        """umT5's states (1, 512, text_dim) of a prompt, zero-padded, in the transformer's dtype."""
        dtype, device = self.transformer.dtype, self._execution_device
        if self.prompt_encoder is not None:
            rows = self.prompt_encoder(prompt).to(device, dtype)
            return functional.pad(rows, (0, 0, 0, MAX_SEQUENCE_LENGTH - len(rows))).unsqueeze(0)
        if self.text_encoder is None or self.tokenizer is None:
            raise ValueError("a prompt, even an empty one, needs a text encoder: load it, or set `prompt_encoder`")
        return self._get_t5_prompt_embeds(prompt, max_sequence_length=MAX_SEQUENCE_LENGTH, device=device, dtype=dtype)

    def encode_image(self, image: NDArray[np.uint8]) -> torch.Tensor | None:
        """CLIP's states (1, 257, 1280) of the whole image; None without CLIP. See `PortraitEncoder`."""
        if self.image_encoder is None:
            return None
        device = self._execution_device
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
        return torch.cat([mask, latents], dim=1).to(self._execution_device)

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
        return latents.to(self._execution_device, torch.float32)

    def prepare_timesteps(self, steps: int) -> torch.Tensor:
        """The original schedule: sigmas from 1 towards 0 in equal steps, then shifted by the scheduler (5)."""
        sigmas = np.linspace(1.0, 0.0, steps + 1)[:-1].tolist()
        self.scheduler.set_timesteps(sigmas=sigmas, device=self._execution_device)
        return self.scheduler.timesteps

    @torch.no_grad()
    def denoise(
        self,
        latents: torch.Tensor,
        windows: Sequence[WindowInputs],
        context: Conditioning,
        guidance: Guidance,
        timesteps: torch.Tensor,
        batch_passes: bool = False,
        first_step: int = 0,
        callback: StepCallback | None = None,
        cancel: CancelToken | None = None,
    ) -> torch.Tensor:
        """Latents (1, 16, F_lat, h, w) from noise, or from those after `first_step`.

        Windows are blended inside each step, so that no seam can build up.
        """
        spans = tuple(inputs.window for inputs in windows)
        weights = [weight.to(latents.device).view(1, 1, -1, 1, 1) for weight in blend_weights(spans)]
        windows = prepare_windows(windows, latents.device, self.transformer.dtype)
        self.scheduler.set_begin_index(first_step)
        with self.progress_bar(total=len(timesteps) - first_step) as bar:
            for step, timestep in itertools.islice(enumerate(timesteps), first_step, None):
                velocity = torch.zeros_like(latents)
                for inputs, weight in zip(windows, weights, strict=True):
                    passes = guidance.passes(step, len(timesteps), inputs.motion is not None)
                    groups = [passes] if batch_passes else [(each,) for each in passes]
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
                # Where the step points to: the video as the model sees it now, without the noise that is left.
                denoised = latents - self.scheduler.sigmas[step] * velocity
                latents = self.scheduler.step(velocity, timestep, latents, return_dict=False)[0]
                if callback is not None:
                    given = {"latents": latents, "denoised": denoised}
                    latents = callback(self, step, timestep, given).pop("latents", latents)
                bar.update()
        return latents

    def decode(
        self,
        latents: torch.Tensor,
        match_colour: NDArray[np.uint8] | None = None,
        vae: AutoencoderKLWan | None = None,
    ) -> Iterator[NDArray[np.uint8]]:
        """Chunks of frames uint8 (n, H, W, 3), by `vae` if it is not the pipeline's own that shall decode.

        With `match_colour`, its colours are kept throughout.
        """
        match = None if match_colour is None else ColourMatch(match_colour)
        try:
            for frames in _without_gradients(decode_with_fallback(self.vae if vae is None else vae, latents)):
                yield frames if match is None else match(frames)
        finally:
            self.maybe_free_model_hooks()

    def preview_image(self, latents: torch.Tensor) -> NDArray[np.uint8]:
        """A small picture, uint8 (H / 8, W / 8, 3), of the middle latent frame, without decoding it."""
        return latents_to_rgb(latents, self._get_rgb_factors(), latents.shape[2] // 2)

    def _get_rgb_factors(self) -> torch.Tensor:
        """The map from latents to RGB, fitted once; in the midst of sampling it would push the transformer away."""
        if self._rgb_factors is None:
            with torch.no_grad():
                self._rgb_factors = fit_rgb_factors(self.vae)
        return self._rgb_factors

    def _plan(
        self,
        image: NDArray[np.uint8],
        driven: Sequence[DrivenFace[MotionCode]],
        face_map: NDArray[np.integer] | None,
        num_frames: int,
        max_window_frames: int,
    ) -> list[WindowInputs]:
        """The windows of time with their conditions and motions."""
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
    """The same chunks, each computed without gradients: a generator outlives the block that it was made in."""
    while True:
        with torch.no_grad():
            chunk = next(chunks, None)
        if chunk is None:
            return
        yield chunk
