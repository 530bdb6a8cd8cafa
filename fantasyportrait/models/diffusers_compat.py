"""Every use of a private name of diffusers, and of accelerate's hooks under it, checked with diffusers 0.42.

A private name may change in any release, so other modules call these functions. Class attributes that diffusers reads
from its subclasses (`_no_split_modules`, `_callback_tensor_inputs`, ...) stay in the classes that declare them.
"""

from typing import Any

import torch
from accelerate.hooks import AlignDevicesHook
from diffusers import AutoencoderKLWan, ContextParallelConfig, DiffusionPipeline, ModelMixin
from diffusers.models.attention_dispatch import AttentionBackendName
from diffusers.models.transformers.transformer_wan import (
    WanAttention,
    WanAttnProcessor,
    _get_added_kv_projections,
    _get_qkv_projections,
)
from torch import nn
from torch.distributed.device_mesh import DeviceMesh

from fantasyportrait.core.errors import DependencyError

# Group offloading's name for the hook that records in which order blocks run.
_EXECUTION_TRACKER = "layer_execution_tracker"


def qkv_projections(
    attn: WanAttention, hidden_states: torch.Tensor, encoder_hidden_states: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Query, key and value of Wan's attention, fused or not, each (B, tokens, D)."""
    query, key, value = _get_qkv_projections(attn, hidden_states, encoder_hidden_states)
    return query, key, value


def added_kv_projections(attn: WanAttention, image_states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Key and value of Wan's image tokens, fused or not, each (B, tokens, D)."""
    key, value = _get_added_kv_projections(attn, image_states)
    return key, value


def attention_backend(processor: WanAttnProcessor) -> AttentionBackendName | None:
    """The backend that `set_attention_backend` chose; None for diffusers' default."""
    return processor._attention_backend


def context_parallel_mesh(processor: WanAttnProcessor) -> DeviceMesh | None:
    """The flattened mesh of the ranks that share the tokens; None without context parallelism."""
    config = processor._parallel_config
    return None if config is None else config.context_parallel_config._flattened_mesh


def context_parallel_plan(model: ModelMixin) -> dict[str, Any]:
    """The model's plan for context parallelism: by module, how its inputs are split and its outputs gathered."""
    return dict(model._cp_plan)


def context_parallel_config(model: ModelMixin) -> ContextParallelConfig:
    """The configuration that `enable_parallelism` gave the model."""
    return model._parallel_config.context_parallel_config


def checkpointed(model: ModelMixin, block: nn.Module, *arguments: Any) -> torch.Tensor:
    """The block's output; its activations are computed again in the backward pass (gradient checkpointing)."""
    return model._gradient_checkpointing_func(block, *arguments)


def register_block(block: type[nn.Module]) -> None:
    """Make step caches accept a transformer block that returns its hidden states; `DependencyError` if they cannot."""
    try:
        from diffusers.hooks._helpers import TransformerBlockMetadata, TransformerBlockRegistry
    except ImportError as error:
        raise DependencyError(
            "this version of diffusers has no block registry at hooks._helpers, so step caches cannot be used: "
            "install diffusers 0.42, or leave the cache off"
        ) from error
    metadata = TransformerBlockMetadata(return_hidden_states_index=0, return_encoder_hidden_states_index=None)
    TransformerBlockRegistry.register(model_class=block, metadata=metadata)


def step_cache_name(model: ModelMixin) -> str | None:
    """The class name of the step cache's configuration, such as FirstBlockCacheConfig; None without a cache."""
    return None if model._cache_config is None else type(model._cache_config).__name__


def float32_modules(model: ModelMixin | type[ModelMixin]) -> frozenset[str]:
    """Parts of module names whose weights stay in float32 when a model is loaded in another dtype."""
    return frozenset(model._keep_in_fp32_modules or ())


def uncast_patterns(model: type[ModelMixin]) -> tuple[str, ...]:
    """Patterns of module names that layerwise casting leaves in the compute dtype."""
    return tuple(model._skip_layerwise_casting_patterns or ())


def execution_device(pipeline: DiffusionPipeline) -> torch.device:
    """The device that a pipeline computes on, whatever offloading it has."""
    return pipeline._execution_device


def causal_cache(vae: AutoencoderKLWan) -> list[torch.Tensor | None]:
    """The frames that the causal layers of Wan's decoder keep, one entry a layer; `clear_cache` makes it new."""
    return vae._feat_map


def has_hooks(model: nn.Module) -> bool:
    """Whether any module of the model has a hook of diffusers or accelerate."""
    return any(hasattr(module, "_diffusers_hook") or hasattr(module, "_hf_hook") for module in model.modules())


def records_execution_order(block: nn.Module) -> bool:
    """Whether group offloading still has to see the block run to learn the order of the blocks."""
    hook = getattr(block, "_diffusers_hook", None)
    return hook is not None and _EXECUTION_TRACKER in hook.hooks


def reapply_group_offloading(model: nn.Module) -> None:
    """Let group offloading take in layers that were added to the model; nothing without group offloading.

    Raises `DependencyError` for a version of diffusers without the function.
    """
    try:
        from diffusers.hooks.group_offloading import _maybe_remove_and_reapply_group_offloading
    except ImportError as error:
        raise DependencyError(
            "this version of diffusers cannot reapply group offloading, so a LoRA cannot be loaded: install diffusers "
            "0.42, or leave the LoRA off"
        ) from error
    _maybe_remove_and_reapply_group_offloading(model)


def sequential_offload_device(model: nn.Module) -> torch.device | None:
    """The device on which sequential offloading runs the model's layers one by one; None without it."""
    hook = getattr(model, "_hf_hook", None)
    hooks = [one for one in getattr(hook, "hooks", (hook,)) if isinstance(one, AlignDevicesHook) and one.offload]
    return torch.device(hooks[0].execution_device) if hooks else None


def onload(model: nn.Module) -> None:
    """Bring an offloaded model to its device, as its hook does before `forward`; nothing without a hook."""
    hook = getattr(model, "_hf_hook", None)
    if hook is not None:
        hook.pre_forward(model)
