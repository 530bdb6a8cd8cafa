"""Segment Anything at tiny size: masks of the picture's size, a box each, the best of the model's three."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import SamModel

from fantasyportrait.models.segment_anything import load_sam, segment
from tests.models.factories import tiny_sam


@pytest.fixture(scope="module")
def sam() -> SamModel:
    return tiny_sam()


def picture(height: int, width: int) -> np.ndarray:
    return (np.random.default_rng(0).random((height, width, 3)) * 255).astype(np.uint8)


@pytest.mark.parametrize("shape", [(48, 80), (120, 90), (64, 64)])
def test_sam_masks_have_image_size(sam: SamModel, shape: tuple[int, int]) -> None:
    boxes = [np.array([4, 4, 20, 30], np.float32), np.array([30, 8, 44, 40], np.float32)]
    masks = segment(sam, picture(*shape), boxes)
    assert masks.shape == (2, *shape) and masks.dtype == np.bool_


def test_sam_mask_depends_on_box(sam: SamModel) -> None:
    boxes = [np.array(box, np.float32) for box in ([2, 2, 20, 20], [40, 30, 60, 62])]
    one, other = (segment(sam, picture(64, 64), [box])[0] for box in boxes)
    assert (one != other).any()
    # Each mask is that of its own box, whatever the others are.
    np.testing.assert_array_equal(segment(sam, picture(64, 64), boxes[::-1]), [other, one])


def test_sam_returns_highest_scored_mask(sam: SamModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three constant masks with known scores: only the best one is everywhere positive."""
    real = SamModel.forward

    def known(self: SamModel, **given: object) -> object:
        out = real(self, **given)
        out.iou_scores = torch.tensor([[[0.1, 0.9, 0.5]]])
        out.pred_masks = torch.stack([torch.full_like(out.pred_masks[0, 0, 0], v) for v in (-1, 1, -1)])[None, None]
        return out

    monkeypatch.setattr(SamModel, "forward", known)
    assert segment(sam, picture(64, 64), [np.array([2, 2, 20, 20], np.float32)]).all()


def test_sam_loads_saved_model(sam: SamModel, tmp_path: Path) -> None:
    sam.save_pretrained(tmp_path)
    box = [np.array([2, 2, 20, 20], np.float32)]
    np.testing.assert_array_equal(
        segment(load_sam(str(tmp_path)), picture(64, 64), box), segment(sam, picture(64, 64), box)
    )
