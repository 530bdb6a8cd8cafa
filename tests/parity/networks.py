"""The networks with the weights that the public code ran with, under our names."""

import numpy as np
import torch
from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers

from fantasyportrait.models.motion_adapter import MotionAdapter
from fantasyportrait.models.motion_encoder import MotionEncoder
from fantasyportrait.models.transformer import FantasyPortraitTransformer3DModel
from fantasyportrait.weights.key_mapping import convert_keys
from tests.parity.cases import Cases

# Of the tiny transformer (the cases' README): the one size that no weight's shape tells.
HEADS = 4


def tensors(cases: Cases, part: str) -> dict[str, torch.Tensor]:
    """`Cases.weights` for torch."""
    return {key: torch.from_numpy(np.asarray(value)) for key, value in cases.weights(part).items()}


def adapter_of(cases: Cases) -> MotionAdapter:
    """The full-size motion adapter."""
    model = MotionAdapter()
    model.load_state_dict(convert_keys("motion_adapter", tensors(cases, "adapter")))
    return model.eval()


def encoder_of(cases: Cases) -> MotionEncoder:
    """The full-size motion encoder."""
    model = MotionEncoder()
    model.load_state_dict(convert_keys("motion_encoder", tensors(cases, "motion_encoder")))
    return model.eval()


def transformer_of(cases: Cases) -> FantasyPortraitTransformer3DModel:
    """The tiny transformer, its sizes read off the shapes."""
    original = tensors(cases, "dit")
    motion = convert_keys("motion_attention", {key: original.pop(key) for key in list(original) if "ip_adapter" in key})
    state = convert_wan_transformer_to_diffusers(original) | motion
    dim = state["patch_embedding.weight"].shape[0]
    model = FantasyPortraitTransformer3DModel(
        num_attention_heads=HEADS,
        attention_head_dim=dim // HEADS,
        in_channels=state["patch_embedding.weight"].shape[1],
        text_dim=state["condition_embedder.text_embedder.linear_1.weight"].shape[1],
        freq_dim=state["condition_embedder.time_embedder.linear_1.weight"].shape[1],
        ffn_dim=state["blocks.0.ffn.net.0.proj.weight"].shape[0],
        num_layers=1 + max(int(key.split(".")[1]) for key in motion),
        image_dim=state["condition_embedder.image_embedder.norm1.weight"].shape[0],
        added_kv_proj_dim=dim,
        motion_dim=next(iter(motion.values())).shape[1],
    )
    model.load_state_dict(state)
    return model.eval()
