"""A model's size and a job's costs, from configs alone: networks on the meta device, without weights."""

import inspect
import json
import math
import threading
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLWan
from torch import nn
from transformers import CLIPVisionConfig, CLIPVisionModel

from fantasyportrait.core.errors import WeightsError
from fantasyportrait.models.diffusers_compat import float32_modules
from fantasyportrait.models.motion_adapter import MotionAdapter
from fantasyportrait.models.motion_attention import TEXT_TOKENS
from fantasyportrait.models.token_windows import FRAMES_PER_LATENT, latent_frames
from fantasyportrait.models.transformer import FantasyPortraitTransformer3DModel
from fantasyportrait.pipelines.motion_conditioning import TOKEN_SIDE
from fantasyportrait.pipelines.time_windows import OVERLAP_FRAMES, time_windows
from fantasyportrait.pipelines.vae_latents import decode_stream, encode_video
from fantasyportrait.planning.meta_tracing import Trace, meta_tensors, trace
from fantasyportrait.planning.workload import ActivationCosts, Cost, ModelSize, Workload
from fantasyportrait.runtime.quantization import MODULES_TO_NOT_CONVERT

Config = Mapping[str, Any]

# After three chunks the caches of the causal layers are full, and every later chunk costs the same as the third.
_CHUNKS = 3
_KEPT_SIZES = 8
_RGB_BYTES = 3 * 4


@dataclass(frozen=True)
class ModelConfigs:
    """The configs of a model's networks, and its name."""

    name: str
    transformer: Config
    motion_adapter: Config
    vae: Config
    image_encoder: Config


def original_configs() -> ModelConfigs:
    """The configs of the original model, before it is fetched: Wan2.1-I2V-14B, CLIP ViT-H and the paper's adapter."""
    clip = {
        "hidden_size": 1280,
        "intermediate_size": 5120,
        "num_hidden_layers": 32,
        "num_attention_heads": 16,
        "image_size": 224,
        "patch_size": 14,
        "hidden_act": "gelu",
    }
    return ModelConfigs("original", {}, {}, {}, clip)


def read_configs(folder: Path) -> ModelConfigs:
    """The configs of an assembled folder; `WeightsError` if one is missing or damaged."""
    parts = ("transformer", "motion_adapter", "vae", "image_encoder")
    return ModelConfigs(folder.name, *(_read(folder / part / "config.json") for part in parts))


class MetaNetworks:
    """The networks of a model on the meta device, to count their weights and trace their activations.

    Threads may share it.

    Args:
        configs: the networks' configs.
        precision: compute dtype of the transformer; the other networks are float32.
        gguf: file that replaces the transformer's weights.
    """

    def __init__(self, configs: ModelConfigs, precision: torch.dtype, gguf: Path | None = None) -> None:
        self._configs, self._precision, self._gguf = configs, precision, gguf
        with meta_tensors():
            self._short = self._transformer(1)
            self._long = self._transformer(2)
            self._adapter = MotionAdapter.from_config(dict(configs.motion_adapter)).eval()
            self._vae = AutoencoderKLWan.from_config(dict(configs.vae)).eval()
            self._clip = CLIPVisionModel(CLIPVisionConfig.from_dict(dict(configs.image_encoder))).eval()
        self._lock = threading.Lock()
        self._kept: dict[Hashable, ActivationCosts] = {}
        self._tile_traces: tuple[Trace, Trace] | None = None

    @property
    def blocks(self) -> int:
        """Number of transformer blocks."""
        usual = inspect.signature(FantasyPortraitTransformer3DModel.__init__).parameters["num_layers"].default
        return int(self._configs.transformer.get("num_layers", usual))

    @property
    def model_size(self) -> ModelSize:
        """The sizes of the weights."""
        block, outside = self._long.blocks[-1], self._short
        blocks = self.blocks
        # `outside` has one block, and all blocks have the same size.
        matrices = _matrices(outside) + (blocks - 1) * _matrices(block)
        whole = _size(outside) + (blocks - 1) * _size(block)
        rest = whole - matrices * self._precision.itemsize
        parts = (self._vae, self._clip, self._adapter)
        pinned = sum(map(_pinned, (outside, *parts))) + (blocks - 1) * _pinned(block)
        return ModelSize(
            name=self._configs.name if self._gguf is None else self._gguf.stem,
            matrices=matrices,
            bytes_per_number=self._precision.itemsize,
            rest=rest,
            blocks=blocks,
            block=_size(block),
            pinned=pinned,
            largest_matrix=max(weight.nbytes for weight in outside.parameters()),
            vae=_size(self._vae),
            image_encoder=_size(self._clip),
            motion_adapter=_size(self._adapter),
            gguf=None if self._gguf is None else self._gguf_bytes(self._gguf, blocks * _motion(block)),
        )

    def activations(self, job: Workload) -> ActivationCosts:
        """The cost of each phase of the job, traced on the meta device and cached for the last few sizes."""
        size = (job.width, job.height, job.frames, job.window_frames, job.faces)
        key = (*size, job.max_passes, job.sampling.step_cache)
        # The VAE keeps its caches in the module while it is traced.
        with self._lock:
            if key not in self._kept:
                with meta_tensors():
                    found = self._measure(job)
                while len(self._kept) >= _KEPT_SIZES:
                    self._kept.pop(next(iter(self._kept)))
                self._kept[key] = found
            return self._kept[key]

    def _measure(self, job: Workload) -> ActivationCosts:
        length = job.window_frames
        overlap = OVERLAP_FRAMES // FRAMES_PER_LATENT
        windows = len(time_windows(latent_frames(job.frames), latent_frames(length), overlap))
        forward = self._forward(job, length, 1)
        side = self._clip.config.image_size
        encode, decode = self._encode(job.height, job.width, length), self._decode(job)
        return ActivationCosts(
            windows=windows,
            forward=forward,
            batched=forward if job.max_passes < 2 else self._forward(job, length, job.max_passes),
            image=_cost(trace(lambda: self._clip(torch.empty(1, 3, side, side), output_hidden_states=True))),
            motion=Cost(0, 0) if not job.faces else _cost(trace(lambda: self._adapter(self._features(job, length)))),
            encode=encode,
            encode_tiled=self._encode_tiled(job, length, encode),
            decode=decode,
            decode_tiled=self._decode_tiled(job, decode),
            cached=0 if job.sampling.step_cache == "none" else self._cached(job, length),
        )

    def _transformer(self, layers: int) -> FantasyPortraitTransformer3DModel:
        """A transformer with its first blocks, in the dtypes of a loaded one: norms and time embedding in float32."""
        config = {**self._configs.transformer, "num_layers": layers}
        model = FantasyPortraitTransformer3DModel.from_config(config).eval()
        whole = float32_modules(model)
        for name, weight in model.named_parameters():
            if not whole & set(name.split(".")):
                weight.data = weight.data.to(self._precision)
        return model

    def _cached(self, job: Workload, frames: int) -> int:
        """Bytes that FirstBlockCache keeps: three tensors of the hidden states' size."""
        config = self._long.config
        tokens = latent_frames(frames) * (job.height // TOKEN_SIDE) * (job.width // TOKEN_SIDE)
        return 3 * tokens * int(config.num_attention_heads * config.attention_head_dim) * self._precision.itemsize

    def _features(self, job: Workload, frames: int) -> torch.Tensor:
        return torch.empty(job.faces, frames, sum(self._adapter.config.feature_dims))

    def _forward(self, job: Workload, frames: int, batch: int) -> Cost:
        """The whole transformer: the operations of all blocks, and the peak of two; more blocks do not raise it."""
        short, long = self._run(self._short, job, frames, batch), self._run(self._long, job, frames, batch)
        return Cost(long.peak, short.flop + (self.blocks - 1) * (long.flop - short.flop))

    def _run(self, model: FantasyPortraitTransformer3DModel, job: Workload, frames: int, batch: int) -> Trace:
        """One forward pass, its inputs included."""
        return trace(lambda: model(**self._inputs(job, frames, batch), return_dict=False)[0])

    def _inputs(self, job: Workload, frames: int, batch: int) -> dict[str, torch.Tensor | None]:
        """Inputs of the transformer for a batch of passes with motion."""
        config, length = self._long.config, latent_frames(frames)
        clip, scale = self._clip.config, self._vae.config.scale_factor_spatial
        inputs: dict[str, torch.Tensor | None] = {
            "hidden_states": self._empty(1, config.in_channels, length, job.height // scale, job.width // scale).expand(
                batch, -1, -1, -1, -1
            ),
            "timestep": torch.empty(batch),
            "encoder_hidden_states": self._empty(batch, TEXT_TOKENS, config.text_dim),
            "encoder_hidden_states_image": None
            if config.image_dim is None
            else self._empty(batch, (clip.image_size // clip.patch_size) ** 2 + 1, config.image_dim),
        }
        if job.faces:
            tokens = job.faces * self._adapter.window_tokens
            grid = (job.height // TOKEN_SIDE) * (job.width // TOKEN_SIDE)
            inputs["motion_hidden_states"] = self._empty(1, length, tokens, config.motion_dim).expand(batch, -1, -1, -1)
            inputs["motion_scale"] = torch.empty(batch, tokens)
            # One face that covers the whole map needs no mask.
            mask = torch.empty(1, 1, grid, tokens, dtype=torch.bool)
            inputs["motion_attention_mask"] = mask if job.faces > 1 else None
        return inputs

    def _empty(self, *shape: int) -> torch.Tensor:
        return torch.empty(shape, dtype=self._precision)

    def _encode(self, height: int, width: int, frames: int) -> Cost:
        """The VAE's encoder on a window's condition video; frames beyond the traced chunks only take memory."""
        traced = min(frames, 1 + FRAMES_PER_LATENT * (_CHUNKS - 1))
        first, last = (self._encoded_chunks(height, width, n) for n in (1, traced))
        chunks = max(latent_frames(traced) - 1, 1)
        later = (latent_frames(frames) - 1) * (last.flop - first.flop) // chunks
        return Cost(last.peak + (frames - traced) * height * width * _RGB_BYTES, first.flop + later)

    def _encoded_chunks(self, height: int, width: int, frames: int) -> Trace:
        return trace(lambda: encode_video(self._vae, torch.empty(1, 3, frames, height, width)))

    def _encode_tiled(self, job: Workload, frames: int, whole: Cost) -> Cost:
        """The same with one tile at a time, and the whole video in memory."""
        rows, columns = self._vae.tile_sample_min_height, self._vae.tile_sample_min_width
        if job.height <= rows and job.width <= columns:
            return whole
        tile = self._encode(rows, columns, frames)
        video = frames * job.height * job.width * _RGB_BYTES
        return Cost(min(whole.peak, tile.peak + video), whole.flop)

    def _decode(self, job: Workload) -> Cost:
        """The VAE's decoder on all chunks, each later one like the third."""
        scale, length = self._vae.config.scale_factor_spatial, latent_frames(job.frames)
        first, last = (
            self._decoded(min(length, chunks), job.height // scale, job.width // scale)
            for chunks in (_CHUNKS - 1, _CHUNKS)
        )
        return Cost(last.peak, last.flop + max(0, length - _CHUNKS) * (last.flop - first.flop))

    def _decode_tiled(self, job: Workload, whole: Cost) -> Cost:
        """The same in tiles of the VAE's own size, extrapolated from traces of two and of three tiles.

        Each further tile adds its causal caches and its part of the blended frame.
        """
        scale = self._vae.config.scale_factor_spatial
        sides = [n // scale for n in (self._vae.tile_sample_min_height, self._vae.tile_sample_min_width)]
        strides = [n // scale for n in (self._vae.tile_sample_stride_height, self._vae.tile_sample_stride_width)]
        size = (job.height // scale, job.width // scale)
        tiles = math.prod(
            1 + math.ceil(max(0, n - side) / by) for n, side, by in zip(size, sides, strides, strict=True)
        )
        if tiles == 1:
            return whole
        if self._tile_traces is None:
            self._vae.enable_tiling()
            two, three = (self._decoded(_CHUNKS, sides[0], sides[1] + n * strides[1] + 1) for n in (0, 1))
            self._vae.disable_tiling()
            self._tile_traces = two, three
        two, three = self._tile_traces
        return Cost(two.peak + (tiles - 2) * (three.peak - two.peak), whole.flop)

    def _decoded(self, chunks: int, rows: int, columns: int) -> Trace:
        latents = torch.empty(1, self._vae.config.z_dim, chunks, rows, columns)

        def work() -> None:
            for _ in decode_stream(self._vae, latents):
                pass

        return trace(work)

    def _gguf_bytes(self, file: Path, motion: int) -> int:
        """The file's weights, and the motion attention, which the file does not have."""
        try:
            return file.stat().st_size + motion
        except OSError as error:
            raise WeightsError(
                "{file} cannot be read ({strerror}): fetch it again", file=file, strerror=error.strerror
            ) from error


def _cost(traced: Trace) -> Cost:
    return Cost(traced.peak, traced.flop)


def _size(module: nn.Module) -> int:
    return sum(weight.nbytes for weight in module.parameters())


def _pinned(module: nn.Module) -> int:
    """Bytes that torch's allocator of pinned memory takes for a module."""
    return sum(1 << (weight.nbytes - 1).bit_length() for weight in module.parameters() if weight.nbytes)


def _linears(module: nn.Module) -> Iterator[tuple[str, nn.Linear]]:
    return ((name, each) for name, each in module.named_modules() if isinstance(each, nn.Linear))


def _matrices(module: nn.Module) -> int:
    """Elements of the matrices that quantizers convert."""
    kept = set(MODULES_TO_NOT_CONVERT)
    return sum(each.weight.numel() for name, each in _linears(module) if not kept & set(name.split(".")))


def _motion(module: nn.Module) -> int:
    return sum(each.weight.nbytes for name, each in _linears(module) if name.endswith("_motion"))


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError("{path} cannot be read ({error}): fetch the model again", path=path, error=error) from error
    if not isinstance(content, dict):
        raise WeightsError("{path} holds no settings: fetch the model again", path=path)
    return content
