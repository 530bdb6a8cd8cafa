"""Segment Anything at toy size: masks of the picture's size, a box each, the best of the model's three."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import SamConfig, SamMaskDecoderConfig, SamModel, SamPromptEncoderConfig, SamVisionConfig

from fantasyportrait.models.segment_anything import load_sam, segment

SIDE, PATCH = 64, 8


@pytest.fixture(scope="module")
def sam() -> SamModel:
    """Two layers of width 16, a picture of 64 pixels."""
    torch.manual_seed(0)
    vision = SamVisionConfig(
        hidden_size=16, output_channels=8, num_hidden_layers=2, num_attention_heads=2, image_size=SIDE,
        patch_size=PATCH, window_size=4, global_attn_indexes=[1], mlp_dim=32, num_pos_feats=4,
    )  # fmt: skip
    prompt = SamPromptEncoderConfig(
        hidden_size=8, image_size=SIDE, patch_size=PATCH, mask_input_channels=4, num_point_embeddings=4
    )
    decoder = SamMaskDecoderConfig(
        hidden_size=8, mlp_dim=16, num_hidden_layers=2, num_attention_heads=2, iou_head_hidden_dim=8, iou_head_depth=2
    )
    return SamModel(SamConfig(vision_config=vision, prompt_encoder_config=prompt, mask_decoder_config=decoder)).eval()


def picture(height: int, width: int) -> np.ndarray:
    return (np.random.default_rng(0).random((height, width, 3)) * 255).astype(np.uint8)


@pytest.mark.parametrize("shape", [(48, 80), (120, 90), (64, 64)])
def test_masks_have_the_size_of_the_picture(sam: SamModel, shape: tuple[int, int]) -> None:
    boxes = [np.array([4, 4, 20, 30], np.float32), np.array([30, 8, 44, 40], np.float32)]
    masks = segment(sam, picture(*shape), boxes)
    assert masks.shape == (2, *shape) and masks.dtype == np.bool_


def test_the_box_decides(sam: SamModel) -> None:
    one, other = (
        segment(sam, picture(64, 64), [np.array(box, np.float32)]) for box in ([2, 2, 20, 20], [40, 30, 60, 62])
    )
    assert (one != other).any()


def test_the_mask_that_the_model_believes_in_is_taken(sam: SamModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three constant masks with known scores: only the best one is everywhere positive."""
    real = SamModel.forward

    def known(self: SamModel, **given: object) -> object:
        out = real(self, **given)
        out.iou_scores = torch.tensor([[[0.1, 0.9, 0.5]]])
        out.pred_masks = torch.stack([torch.full_like(out.pred_masks[0, 0, 0], v) for v in (-1, 1, -1)])[None, None]
        return out

    monkeypatch.setattr(SamModel, "forward", known)
    assert segment(sam, picture(64, 64), [np.array([2, 2, 20, 20], np.float32)]).all()


def test_a_saved_model_is_loaded(sam: SamModel, tmp_path: Path) -> None:
    sam.save_pretrained(tmp_path)
    box = [np.array([2, 2, 20, 20], np.float32)]
    np.testing.assert_array_equal(
        segment(load_sam(str(tmp_path)), picture(64, 64), box), segment(sam, picture(64, 64), box)
    )
