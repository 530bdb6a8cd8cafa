"""The whole pipeline with random weights, at the original sizes or with a tiny model: nothing is downloaded.

Weights are made block by block on their device, by the same functions and quantizers of diffusers that
load real ones, so that what is measured is held in memory as a real model would be.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from diffusers import AutoencoderKLWan, FlowMatchEulerDiscreteScheduler, GGUFQuantizationConfig
from diffusers.models.model_loading_utils import load_model_dict_into_meta
from diffusers.quantizers.auto import DiffusersAutoQuantizer
from safetensors.torch import save_file
from transformers import CLIPImageProcessorPil, CLIPVisionConfig, CLIPVisionModel

from benchmarks.random_gguf import random_blocks
from fantasyportrait.models.diffusers_compat import float32_modules
from fantasyportrait.models.motion_adapter import MotionAdapter
from fantasyportrait.models.shapes import full_config
from fantasyportrait.models.transformer import FantasyPortraitTransformer3DModel
from fantasyportrait.pipelines.loading import FLOW_SHIFT
from fantasyportrait.pipelines.portrait_pipeline import FantasyPortraitPipeline
from fantasyportrait.planning.meta_networks import ModelConfigs
from fantasyportrait.runtime.profiles import Profile
from fantasyportrait.runtime.quantization import MODULES_TO_NOT_CONVERT, enable_fp8_storage, pretrained_kwargs
from fantasyportrait.testing.tiny import tiny_transformer_config

STD = 0.02
_INDEX = "diffusion_pytorch_model.safetensors.index.json"
# Free space to leave besides the shards, so that a run does not fill the disk.
_SPARE = 2**30


class SkippedProfile(Exception):
    """A profile cannot be measured on this machine; the sentence says why."""


def tiny_configs() -> ModelConfigs:
    """Small enough for a CPU; the numbers of tokens are those of the real one."""
    return ModelConfigs(
        name="tiny",
        transformer={**tiny_transformer_config(), "motion_dim": 64},
        motion_adapter={"motion_dim": 64, "dim": 64, "num_layers": 1, "num_heads": 2, "head_dim": 32},
        vae={"base_dim": 4, "num_res_blocks": 1, "dim_mult": [1, 1, 1, 1]},
        image_encoder={
            **{"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2},
            **{"image_size": 32, "patch_size": 8},
        },
    )


def random_pipeline(
    configs: ModelConfigs, profile: Profile, precision: torch.dtype, device: torch.device, folder: Path
) -> FantasyPortraitPipeline:
    """The pipeline in the profile's numbers, not placed yet; `folder` takes the shards of a mapped transformer.

    Raises `SkippedProfile`, `DependencyError` for a quantizer that is not installed, and `torch.OutOfMemoryError`.
    """
    # On the device, where random numbers are fast; then they are placed by `place` like loaded ones.
    with torch.device(device):
        vae = AutoencoderKLWan(**configs.vae)
        adapter = MotionAdapter(**configs.motion_adapter)
        vision = CLIPVisionModel(CLIPVisionConfig(**configs.image_encoder))
    for part in (vae, adapter, vision):
        part.eval().requires_grad_(False).to("cpu")
    side = vision.config.image_size
    pipeline = FantasyPortraitPipeline(
        transformer=random_transformer(configs.transformer, profile, precision, device, folder),
        motion_adapter=adapter,
        vae=vae,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=FLOW_SHIFT),
        image_encoder=vision,
        image_processor=CLIPImageProcessorPil(size={"shortest_edge": side}, crop_size={"height": side, "width": side}),
    )
    pipeline.set_progress_bar_config(disable=True)
    rows = torch.randn(1, pipeline.transformer.config.text_dim, generator=torch.Generator().manual_seed(0))
    # The empty prompt has one token.
    pipeline.prompt_encoder = lambda prompt: rows
    return pipeline


def random_transformer(
    config: Mapping[str, Any], profile: Profile, precision: torch.dtype, device: torch.device, folder: Path
) -> FantasyPortraitTransformer3DModel:
    """The transformer alone; on the device where the profile leaves it there, else in the machine's memory."""
    arguments = pretrained_kwargs(profile, precision, device)
    if profile.offload == "disk":
        transformer = _mapped(config, precision, device, folder)
    else:
        transformer = _filled(config, profile, precision, device, arguments.get("quantization_config"))
    if profile.weights == "fp8":
        enable_fp8_storage(transformer, precision)
    return transformer.eval().requires_grad_(False)


def _filled(
    config: Mapping[str, Any], profile: Profile, precision: torch.dtype, device: torch.device, quantization: Any
) -> FantasyPortraitTransformer3DModel:
    """Build it empty, fill it part by part on the device, and move each part where the profile keeps it."""
    transformer = _empty(config)
    if profile.weights == "gguf":
        quantization = GGUFQuantizationConfig(compute_dtype=precision)
    kept = sorted(float32_modules(transformer))
    kinds = profile if profile.weights == "gguf" else None
    quantizer = None
    if quantization is not None:
        quantizer = DiffusersAutoQuantizer.from_config(quantization, pre_quantized=kinds is not None)
        quantizer.validate_environment(torch_dtype=precision, device_map={"": device})
        names = dict(_numbers(transformer, kinds, torch.device("meta")))
        quantizer.preprocess_model(transformer, device_map={"": device}, keep_in_fp32_modules=kept, state_dict=names)
    # bitsandbytes leaves its layers on the GPU, and model offload fetches them from there.
    home = device if profile.offload == "none" or profile.weights == "nf4" else torch.device("cpu")
    for part in _parts(transformer):
        state = dict(_numbers(transformer, kinds, device, part))
        load_model_dict_into_meta(
            *(transformer, state, precision),
            hf_quantizer=quantizer,
            keep_in_fp32_modules=kept,
            device_map={"": device},
            unexpected_keys=[],
        )
        if part.startswith("blocks."):
            transformer.get_submodule(part.removesuffix(".")).to(home)
    if quantizer is not None:
        quantizer.postprocess_model(transformer)
        transformer.hf_quantizer = quantizer
    return transformer if home == device else transformer.to(home)


def _mapped(
    config: Mapping[str, Any], precision: torch.dtype, device: torch.device, folder: Path
) -> FantasyPortraitTransformer3DModel:
    """Shards in the precision it computes in, a file a block, opened as the profile opens the real ones."""
    transformer = _empty(config)
    needed = sum(value.numel() for value in transformer.parameters()) * precision.itemsize + _SPARE
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise SkippedProfile(
            f"its shards take {needed / 1e9:.0f} GB and {folder} has {free / 1e9:.0f} GB: name another one by --folder"
        )
    places = {}
    whole = float32_modules(transformer)
    for number, part in enumerate(_parts(transformer)):
        shard = f"part-{number:05d}.safetensors"
        state = {
            name: value.to("cpu", torch.float32 if whole & set(name.split(".")) else precision)
            for name, value in _numbers(transformer, None, device, part)
        }
        save_file(state, folder / shard)
        places.update(dict.fromkeys(state, shard))
    (folder / "config.json").write_text(json.dumps(full_config(FantasyPortraitTransformer3DModel, config)))
    (folder / _INDEX).write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return FantasyPortraitTransformer3DModel.from_pretrained(folder, torch_dtype=precision)


def _empty(config: Mapping[str, Any]) -> FantasyPortraitTransformer3DModel:
    """Without weights; its tables of rotations are there."""
    with init_empty_weights():
        return FantasyPortraitTransformer3DModel(**config)


def _parts(transformer: FantasyPortraitTransformer3DModel) -> list[str]:
    """Prefixes of the names of tensors that are filled together: those outside of the blocks, and each block's."""
    return ["", *(f"blocks.{number}." for number in range(len(transformer.blocks)))]


def _numbers(
    transformer: FantasyPortraitTransformer3DModel,
    kinds: Profile | None,
    device: torch.device,
    part: str | None = None,
) -> Iterator[tuple[str, torch.Tensor]]:
    """Names and random numbers of one part's tensors, or of all; matrices of blocks as a GGUF profile has them."""
    for name, parameter in transformer.named_parameters():
        inside = name.startswith("blocks.")
        if part is not None and not (name.startswith(part) and (part != "" or not inside)):
            continue
        if kinds is not None and inside and name.endswith("weight") and parameter.ndim == 2 and not _whole(name):
            rows, columns = parameter.shape
            yield name, random_blocks(kinds, rows, columns, device)
        elif parameter.ndim == 1 and name.endswith("weight"):
            yield name, torch.ones(parameter.shape, device=device)  # a norm's
        else:
            yield name, torch.empty(parameter.shape, device=device).normal_(std=STD)


def _whole(name: str) -> bool:
    return bool(set(MODULES_TO_NOT_CONVERT) & set(name.split(".")))
