"""Faster sampling at some loss of quality: a LoRA for few steps, and a step cache that skips most blocks of a pass.

Both are set on a pipeline after offloading, the LoRA before the cache: new LoRA layers may make offloading be applied
again, and the cache's hooks must wrap those of the offloading.
"""

import hashlib
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from accelerate import cpu_offload
from accelerate.hooks import remove_hook_from_module
from diffusers import FirstBlockCacheConfig
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from fantasyportrait.core.errors import WeightsError
from fantasyportrait.models.diffusers_compat import (
    execution_device,
    reapply_group_offloading,
    records_execution_order,
    sequential_offload_device,
)
from fantasyportrait.models.motion_attention import TEXT_TOKENS
from fantasyportrait.models.transformer import FantasyPortraitTransformer3DModel
from fantasyportrait.pipelines.portrait_pipeline import FantasyPortraitPipeline
from fantasyportrait.schema.sampling import StepCache

_PREFIX = "transformer."


def set_lora(pipeline: FantasyPortraitPipeline, file: Path | None) -> None:
    """Enable the LoRA of a file, or with None disable any LoRA. It is loaded once, and replaces another one.

    The transformer may be quantized, and offloaded in any way. A disabled LoRA has no effect on the results but keeps
    its memory. As in diffusers, tensors for norms and modulations are ignored. Raises `WeightsError` for a file that
    does not fit the model, before any change, and `torch.OutOfMemoryError` if it does not fit into memory, after which
    no LoRA is loaded.
    """
    transformer = pipeline.transformer
    held = tuple(getattr(transformer, "peft_config", {}))
    if file is None:
        if held:
            transformer.disable_lora()
        return
    name = _name(file)
    if name not in held:
        tensors = _read(pipeline, file)
        # Offloading may be applied again, and would then wrap the cache.
        set_step_cache(pipeline, "none")
        with _weights_accessible(transformer):
            if held:
                transformer.delete_adapters(list(held))
            _add(transformer, name, tensors)
    transformer.enable_lora()


def set_step_cache(pipeline: FantasyPortraitPipeline, kind: StepCache, threshold: float = 0.1) -> None:
    """Enable or disable a step cache; each call empties it.

    Args:
        pipeline: on its device, with its LoRA set.
        kind: "first-block" is diffusers' FirstBlockCache: each pass of each window keeps the residual of the blocks
            after the first, and reuses it as long as the residual of the first block changes little. It keeps three
            tensors (tokens, dim) for each pass and window on the device.
        threshold: the largest relative mean change of the first block's residual at which the cache is reused.
    """
    transformer = pipeline.transformer
    if transformer.is_cache_enabled:
        transformer.disable_cache()
    if kind == "first-block":
        _warm_up_group_offload(transformer, execution_device(pipeline))
        transformer.enable_cache(FirstBlockCacheConfig(threshold=threshold))


def _warm_up_group_offload(transformer: FantasyPortraitTransformer3DModel, device: torch.device) -> None:
    """Run one tiny pass if the streamed blocks have not run yet.

    In the first pass, group offloading records the order of the blocks with hooks that it then removes, and a cache
    that wraps those hooks would be removed with them.
    """
    if not any(map(records_execution_order, transformer.blocks)):
        return
    config = transformer.config

    def zeros(*shape: int) -> torch.Tensor:
        return torch.zeros(shape, device=device, dtype=transformer.dtype)

    image = None if config.image_dim is None else zeros(1, 257, config.image_dim)
    latents = zeros(1, config.in_channels, 1, *config.patch_size[1:])
    with torch.no_grad():
        transformer(latents, zeros(1), zeros(1, TEXT_TOKENS, config.text_dim), image, return_dict=False)


def _name(file: Path) -> str:
    """The file's adapter name for peft, from its path, size and time."""
    try:
        state = file.stat()
    except OSError as error:
        raise WeightsError(
            "the LoRA {file} cannot be read ({strerror}): fetch it again", file=file, strerror=error.strerror
        ) from error
    facts = f"{file.resolve()} {state.st_size} {state.st_mtime_ns}"
    return f"lora-{hashlib.sha256(facts.encode()).hexdigest()[:16]}"


def _read(pipeline: FantasyPortraitPipeline, file: Path) -> dict[str, torch.Tensor]:
    """The file's tensors with the transformer's keys, such as blocks.0.attn1.to_q.lora_A.weight, all checked."""
    try:
        tensors = pipeline.lora_state_dict(load_file(file))
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise WeightsError(
            "the LoRA {file} cannot be read ({error}): fetch it again", file=file, error=error
        ) from error
    tensors = {key.removeprefix(_PREFIX): tensor for key, tensor in tensors.items()}
    modules = dict(pipeline.transformer.named_modules())
    wrong = [key for key, tensor in tensors.items() if not _fits(key, tensor, modules)]
    if wrong or not tensors:
        what = f"{wrong[0]} of it is not this model's" if wrong else "it has no tensors"
        raise WeightsError(
            "the LoRA {file} does not fit ({what}): fetch the one for this model, or do without", file=file, what=what
        )
    return tensors


def _fits(key: str, tensor: torch.Tensor, modules: Mapping[str, nn.Module]) -> bool:
    """Whether the model has a linear layer of the tensor's name and size."""
    place, _, part = key.partition(".lora_")
    layer: Any = modules.get(place)
    if not hasattr(layer, "in_features"):
        return False
    expected = {
        "A.weight": (tensor.shape[0], layer.in_features),
        "B.weight": (layer.out_features, tensor.shape[-1]),
        "B.bias": (layer.out_features,),
    }
    return tensor.shape == expected.get(part)


def _add(transformer: FantasyPortraitTransformer3DModel, name: str, tensors: Mapping[str, torch.Tensor]) -> None:
    """Add the LoRA to the transformer, in its compute dtype."""
    precision = transformer.dtype
    # peft refuses biases beside int8 matrices: they are added below.
    matrices = {f"{_PREFIX}{key}": tensor for key, tensor in tensors.items() if not key.endswith(".bias")}
    with warnings.catch_warnings():
        # It warns that the LoRA cannot be merged, which we do not do.
        warnings.filterwarnings("ignore", message=".*get_apply_tensor_subclass")
        transformer.load_lora_adapter(matrices, adapter_name=name, low_cpu_mem_usage=True)
    try:
        _fill(transformer, name, tensors, precision)
    except RuntimeError:
        # An incomplete LoRA must not be reused.
        transformer.delete_adapters(name)
        raise


def _fill(
    transformer: FantasyPortraitTransformer3DModel,
    name: str,
    tensors: Mapping[str, torch.Tensor],
    precision: torch.dtype,
) -> None:
    """Set every tensor of the LoRA, biases included, in the compute dtype.

    peft casts its matrices to the dtype of the layer's weight, in which those beside fp8 weights would lose precision.
    """
    for key, tensor in tensors.items():
        place, _, part = key.partition(".lora_")
        side, kind = part.split(".")
        layer: Any = transformer.get_submodule(place)
        linear = getattr(layer, f"lora_{side}")[name]
        value = tensor.to(linear.weight.device, precision)
        linear.register_parameter(kind, nn.Parameter(value, requires_grad=False))


@contextmanager
def _weights_accessible(transformer: FantasyPortraitTransformer3DModel) -> Iterator[None]:
    """Inside, weights are accessible; afterwards, offloading is applied to new layers too.

    Model offloading needs neither, since it moves the whole model.
    """
    device = sequential_offload_device(transformer)
    if device is not None:
        remove_hook_from_module(transformer, recurse=True)
    try:
        yield
    finally:
        if device is not None:
            cpu_offload(transformer, device, offload_buffers=True)
        reapply_group_offloading(transformer)
