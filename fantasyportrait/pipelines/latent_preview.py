"""Preview images of latents by a linear map from 16 latent channels to RGB, fitted on the VAE."""

import numpy as np
import torch
from diffusers import AutoencoderKLWan
from numpy.typing import NDArray

from fantasyportrait.pipelines.vae_latents import encode_video

_PICTURES, _SIDE, _BLOCK = 8, 128, 32


def fit_rgb_factors(vae: AutoencoderKLWan) -> torch.Tensor:
    """The map (channels + 1, 3), float32: [latents, 1] @ map = RGB in 0 to 1, by least squares.

    Fitted on images of random colour blocks with soft edges, encoded by the VAE; 0.1 s on a GPU. The result depends on
    the VAE only.
    """
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(_PICTURES, 3, _SIDE // _BLOCK, _SIDE // _BLOCK, generator=generator)
    pictures = torch.nn.functional.interpolate(coarse, size=(_SIDE, _SIDE), mode="bilinear")
    scale = vae.config.scale_factor_spatial
    latents = torch.cat([encode_video(vae, 2 * picture[None, :, None] - 1) for picture in pictures])
    rows = latents[:, :, 0].permute(0, 2, 3, 1).reshape(-1, latents.shape[1]).float().cpu()
    rgb = torch.nn.functional.avg_pool2d(pictures, scale).permute(0, 2, 3, 1).reshape(-1, 3)
    inputs = torch.cat([rows, torch.ones(len(rows), 1)], dim=1)
    return torch.linalg.lstsq(inputs, rgb).solution


def latents_to_rgb(latents: torch.Tensor, rgb_factors: torch.Tensor, frame: int = -1) -> NDArray[np.uint8]:
    """One latent frame of (1, C, F, h, w) as uint8 (h, w, 3) RGB."""
    chosen = latents[0, :, frame].float().cpu().permute(1, 2, 0)
    rgb = chosen @ rgb_factors[:-1] + rgb_factors[-1]
    return np.asarray((rgb.clamp(0, 1) * 255).round().to(torch.uint8).numpy())
