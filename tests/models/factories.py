"""Real networks at tiny size, with weights that depend only on a seed."""

import torch
from transformers import SamConfig, SamMaskDecoderConfig, SamModel, SamPromptEncoderConfig, SamVisionConfig

from fantasyportrait.models.motion_adapter import MotionAdapter
from fantasyportrait.models.transformer import FantasyPortraitTransformer3DModel

HEADS, HEAD_DIM, MOTION_DIM, TEXT_DIM, IMAGE_DIM = 4, 16, 32, 24, 40
GRID = (3, 4, 6)
"""Latent frames, and rows and columns of tokens."""


def tiny_transformer(seed: int = 0) -> FantasyPortraitTransformer3DModel:
    """Two blocks of width 64."""
    torch.manual_seed(seed)
    return FantasyPortraitTransformer3DModel(
        num_attention_heads=HEADS,
        attention_head_dim=HEAD_DIM,
        text_dim=TEXT_DIM,
        freq_dim=32,
        ffn_dim=128,
        num_layers=2,
        image_dim=IMAGE_DIM,
        added_kv_proj_dim=HEADS * HEAD_DIM,
        motion_dim=MOTION_DIM,
    ).eval()


def tiny_adapter(seed: int = 0) -> MotionAdapter:
    """Resamplers of width 32."""
    torch.manual_seed(seed)
    return MotionAdapter(motion_dim=MOTION_DIM, dim=32, num_layers=2, num_heads=2, head_dim=16).eval()


def tiny_inputs(batch: int = 1, seed: int = 1) -> dict[str, torch.Tensor]:
    """What the transformer takes without motion."""
    generator = torch.Generator().manual_seed(seed)
    frames, rows, columns = GRID

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator).repeat(batch, *[1] * (len(shape) - 1))

    return {
        "hidden_states": normal(1, 36, frames, 2 * rows, 2 * columns),
        "timestep": torch.full((batch,), 700.0),
        "encoder_hidden_states": normal(1, 512, TEXT_DIM),
        "encoder_hidden_states_image": normal(1, 7, IMAGE_DIM),
    }


def tiny_motion(faces: int, seed: int = 2) -> torch.Tensor:
    """Token windows (1, F_lat, faces * 97, MOTION_DIM)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, GRID[0], faces * 97, MOTION_DIM, generator=generator)


def tiny_labels(faces: int) -> torch.Tensor:
    """A face map on the token grid (rows, columns): face i has a column of its own, the last one is background."""
    labels = torch.zeros(GRID[1:], dtype=torch.long)
    for face in range(1, faces + 1):
        labels[:, face - 1] = face
    return labels


def tiny_sam(seed: int = 0) -> SamModel:
    """Segment Anything: two layers of width 16, a picture of 64 pixels."""
    torch.manual_seed(seed)
    side, patch = 64, 8
    vision = SamVisionConfig(
        hidden_size=16, output_channels=8, num_hidden_layers=2, num_attention_heads=2, image_size=side,
        patch_size=patch, window_size=4, global_attn_indexes=[1], mlp_dim=32, num_pos_feats=4,
    )  # fmt: skip
    prompt = SamPromptEncoderConfig(
        hidden_size=8, image_size=side, patch_size=patch, mask_input_channels=4, num_point_embeddings=4
    )
    decoder = SamMaskDecoderConfig(
        hidden_size=8, mlp_dim=16, num_hidden_layers=2, num_attention_heads=2, iou_head_hidden_dim=8, iou_head_depth=2
    )
    return SamModel(SamConfig(vision_config=vision, prompt_encoder_config=prompt, mask_decoder_config=decoder)).eval()
