"""CLIP's image embeddings of a portrait, cached for the last portraits."""

import hashlib
from collections import OrderedDict

import numpy as np
import torch
from diffusers.utils.torch_utils import get_module_execution_device
from numpy.typing import NDArray
from torch.nn import functional
from transformers import CLIPImageProcessorPil, CLIPVisionModel

from fantasyportrait.runtime.offload import onloaded

_KEPT = 4


class PortraitEncoder:
    """CLIP's hidden states before its last layer, cached for the last few images."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, torch.Tensor] = OrderedDict()

    def __call__(
        self,
        encoder: CLIPVisionModel,
        processor: CLIPImageProcessorPil,
        image: NDArray[np.uint8],
        device: torch.device,
    ) -> torch.Tensor:
        """Hidden states (1, 257, 1280) on the CPU of an image uint8 (H, W, 3); computed on `device` if CLIP fits.

        The whole image is resized to a square; the stock processor would crop it.
        """
        key = hashlib.sha256(repr(image.shape).encode() + np.ascontiguousarray(image).tobytes()).hexdigest()
        if key not in self._kept:
            with onloaded(encoder, device):
                self._kept[key] = _states(encoder, processor, image)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]


def to_tensor(image: NDArray[np.uint8]) -> torch.Tensor:
    """uint8 (H, W, 3) as float32 (1, 3, H, W) in -1 to 1."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 127.5 - 1


def _states(encoder: CLIPVisionModel, processor: CLIPImageProcessorPil, image: NDArray[np.uint8]) -> torch.Tensor:
    side = encoder.config.image_size
    pixels = to_tensor(image) / 2 + 0.5
    pixels = functional.interpolate(pixels, size=(side, side), mode="bicubic", align_corners=False)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (processor.image_mean, processor.image_std))
    pixels = ((pixels - mean) / std).to(get_module_execution_device(encoder), encoder.dtype)
    return encoder(pixel_values=pixels, output_hidden_states=True).hidden_states[-2].cpu()
