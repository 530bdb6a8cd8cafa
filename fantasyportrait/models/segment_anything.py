"""Segment Anything (transformers' `SamModel`): the mask of the object in a box. Opt-in, with weights of its own."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional
from transformers import SamModel

# ImageNet's statistics in 0 to 255, with which SAM was trained.
_MEAN, _STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


@torch.no_grad()
def segment(model: SamModel, pixels: NDArray[np.uint8], boxes: Sequence[NDArray[np.floating]]) -> NDArray[np.bool_]:
    """Masks bool (N, H, W) of the objects in the boxes (4,) xyxy of an RGB image uint8 (H, W, 3).

    The image is scaled to the model's input size and padded right and below. Of the three masks that the model predicts
    for a box, the one with the highest predicted IoU is taken. Transformers' own processor would require torchvision.
    """
    height, width = pixels.shape[:2]
    side = model.config.vision_config.image_size
    scale = side / max(height, width)
    size = (round(height * scale), round(width * scale))
    device = next(model.parameters()).device
    picture = torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None].float().to(device)
    picture = functional.interpolate(picture, size=size, mode="bilinear", antialias=True)
    mean, std = (torch.tensor(values, device=device).view(1, 3, 1, 1) for values in (_MEAN, _STD))
    picture = functional.pad((picture - mean) / std, (0, side - size[1], 0, side - size[0]))
    prompts = torch.from_numpy(np.stack([np.asarray(box, np.float32) for box in boxes])).to(device) * scale
    out = model(pixel_values=picture, input_boxes=prompts[None], multimask_output=True)
    best = out.iou_scores[0].argmax(dim=-1)
    logits = out.pred_masks[0][torch.arange(len(best)), best]
    whole = functional.interpolate(logits[None], size=(side, side), mode="bilinear")[..., : size[0], : size[1]]
    masks = functional.interpolate(whole, size=(height, width), mode="bilinear")[0]
    return np.asarray((masks > 0).cpu().numpy())


def load_sam(folder: str) -> SamModel:
    """The model of a folder written by `save_pretrained`; nothing is fetched."""
    return SamModel.from_pretrained(folder, local_files_only=True).eval()
