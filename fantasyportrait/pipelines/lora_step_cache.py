"""What makes sampling shorter at a price: a LoRA for few steps, and a cache that leaves out most of a pass.

Both are switched on a pipeline that has been placed, the LoRA before the cache: its layers may need the offloading to
be set up anew, and what is cached has to stand outside of that.
"""

import hashlib
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

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

StepCache = Literal["none", "first-block"]
_PREFIX = "transformer."


def set_lora(pipeline: FantasyPortraitPipeline, file: Path | None) -> None:
    """Switch the LoRA of that file on, or with None any LoRA off; it is loaded once, and replaces another one.

    The weights that it is added to may be quantized, and offloaded in any way. Off, every number is as if it had never
    been loaded; its memory stays taken. What a file says of norms and modulations, diffusers does not read, and nor do
    we. Raises `WeightsError` for a file that does not fit the model, and nothing has changed then;
    `torch.OutOfMemoryError` where it does not fit into memory, and then none is loaded.
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
        # It would end up inside of the offloading that is set up anew.
        set_step_cache(pipeline, "none")
        with _weights_accessible(transformer):
            if held:
                transformer.delete_adapters(list(held))
            _add(transformer, name, tensors)
    transformer.enable_lora()


def set_step_cache(pipeline: FantasyPortraitPipeline, kind: StepCache, threshold: float = 0.1) -> None:
    """Switch a step cache on or off; what one video leaves in it never reaches the next one.

    Args:
        pipeline: placed, its LoRA set.
        kind: "first-block" is diffusers' FirstBlockCache: each pass of each window keeps what the blocks after the
            first added last time, and adds it again as long as the first block's own addition is about the same. It
            keeps three tensors (tokens, dim) for each pass and window on the device.
        threshold: up to which mean difference, as a share of it, the first block's addition counts as the same.
    """
    transformer = pipeline.transformer
    if transformer.is_cache_enabled:
        transformer.disable_cache()
    if kind == "first-block":
        _warm_up_group_offload(transformer, execution_device(pipeline))
        transformer.enable_cache(FirstBlockCacheConfig(threshold=threshold))


def _warm_up_group_offload(transformer: FantasyPortraitTransformer3DModel, device: torch.device) -> None:
    """One tiny pass where streamed blocks have not been run yet.

    In their first pass diffusers notes the order of the blocks, and takes the hooks that note it away afterwards: a
    cache that lies around those would be taken away with them.
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
    """The same for the same file, and a word that peft takes for an adapter's name."""
    try:
        state = file.stat()
    except OSError as error:
        raise WeightsError(f"the LoRA {file} cannot be read ({error.strerror}): fetch it again") from error
    facts = f"{file.resolve()} {state.st_size} {state.st_mtime_ns}"
    return f"lora-{hashlib.sha256(facts.encode()).hexdigest()[:16]}"


def _read(pipeline: FantasyPortraitPipeline, file: Path) -> dict[str, torch.Tensor]:
    """The file's tensors under the transformer's names, such as blocks.0.attn1.to_q.lora_A.weight, each checked."""
    try:
        tensors = pipeline.lora_state_dict(load_file(file))
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise WeightsError(f"the LoRA {file} cannot be read ({error}): fetch it again") from error
    tensors = {key.removeprefix(_PREFIX): tensor for key, tensor in tensors.items()}
    modules = dict(pipeline.transformer.named_modules())
    wrong = [key for key, tensor in tensors.items() if not _fits(key, tensor, modules)]
    if wrong or not tensors:
        what = f"{wrong[0]} of it is not this model's" if wrong else "it has no tensors"
        raise WeightsError(f"the LoRA {file} does not fit ({what}): fetch the one for this model, or do without")
    return tensors


def _fits(key: str, tensor: torch.Tensor, modules: Mapping[str, nn.Module]) -> bool:
    """Whether the model has the linear layer that the tensor is for, of that size."""
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
    """Put the LoRA into the transformer, in the numbers that it computes in."""
    precision = transformer.dtype
    # peft refuses biases beside matrices in int8, of which they are no part: they are added below.
    matrices = {f"{_PREFIX}{key}": tensor for key, tensor in tensors.items() if not key.endswith(".bias")}
    with warnings.catch_warnings():
        # That such a LoRA cannot be merged: nobody wants to.
        warnings.filterwarnings("ignore", message=".*get_apply_tensor_subclass")
        transformer.load_lora_adapter(matrices, adapter_name=name, low_cpu_mem_usage=True)
    try:
        _fill(transformer, name, tensors, precision)
    except RuntimeError:
        # Half a LoRA must not be found and taken for a whole one.
        transformer.delete_adapters(name)
        raise


def _fill(
    transformer: FantasyPortraitTransformer3DModel,
    name: str,
    tensors: Mapping[str, torch.Tensor],
    precision: torch.dtype,
) -> None:
    """Every number of the LoRA once more, and the biases with them.

    peft gives its matrices the number type of the layer's own: beside one in fp8 they would lose theirs.
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
    """Weights are where they can be read, and layers that are new afterwards are offloaded like the others.

    A whole model that comes and goes takes them along by itself.
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
