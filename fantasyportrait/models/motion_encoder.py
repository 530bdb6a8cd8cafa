"""The motion encoder: PD-FGC's expression network, from a 224 x 224 face crop to 554 motion features.

Layers are named as in the face-alignment networks (FAN) that they come from.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from fantasyportrait.schema.motion_code import FEATURE_GROUPS

CROP_SIDE = 224


class ConvBlock(nn.Module):
    """Three pre-activated 3x3 convolutions, concatenated (1/2, 1/4 and 1/4 of the channels), and a residual."""

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        half, quarter = channels // 2, channels // 4
        self.bn1 = nn.BatchNorm2d(channels_in)
        self.conv1 = nn.Conv2d(channels_in, half, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(half)
        self.conv2 = nn.Conv2d(half, quarter, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(quarter)
        self.conv3 = nn.Conv2d(quarter, quarter, 3, padding=1, bias=False)
        self.downsample: nn.Module = nn.Identity()
        if channels_in != channels:
            widen = nn.Conv2d(channels_in, channels, 1, bias=False)
            self.downsample = nn.Sequential(nn.BatchNorm2d(channels_in), nn.ReLU(), widen)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, channels_in, H, W) to (B, channels, H, W)."""
        first = self.conv1(functional.relu(self.bn1(x)))
        second = self.conv2(functional.relu(self.bn2(first)))
        third = self.conv3(functional.relu(self.bn3(second)))
        return torch.cat([first, second, third], dim=1) + self.downsample(x)


class Hourglass(nn.Module):
    """Downsampling by 2, a block and upsampling, with a skip connection at every level."""

    def __init__(self, depth: int, channels: int) -> None:
        super().__init__()
        self.depth = depth
        for level in range(depth, 0, -1):
            for name in (f"b1_{level}", f"b2_{level}", f"b3_{level}"):
                self.add_module(name, ConvBlock(channels, channels))
        self.b2_plus_1 = ConvBlock(channels, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) to the same shape."""
        return self._level(self.depth, x)

    def _level(self, level: int, x: torch.Tensor) -> torch.Tensor:
        skip = self.get_submodule(f"b1_{level}")(x)
        low = self.get_submodule(f"b2_{level}")(functional.max_pool2d(x, 2))
        low = self._level(level - 1, low) if level > 1 else self.b2_plus_1(low)
        low = self.get_submodule(f"b3_{level}")(low)
        grown = functional.interpolate(low, size=skip.shape[-2:], mode="bilinear", align_corners=False)
        return skip + grown


class Backbone(nn.Module):
    """A crop (B, 3, 224, 224) becomes an embedding (B, embedding_dim)."""

    def __init__(self, widths: Sequence[int], points: int, depth: int, embedding_dim: int) -> None:
        super().__init__()
        stem, middle, wide = widths
        self.conv1 = nn.Conv2d(3, stem, 7, stride=2, padding=3)
        self.bn1 = nn.BatchNorm2d(stem)
        self.conv2 = ConvBlock(stem, middle)
        self.conv3 = ConvBlock(middle, middle)
        self.conv4 = ConvBlock(middle, wide)
        self.m0 = Hourglass(depth, wide)
        self.top_m_0 = ConvBlock(wide, wide)
        self.conv_last0 = nn.Conv2d(wide, wide, 1)
        self.bn_end0 = nn.BatchNorm2d(wide)
        self.l0 = nn.Conv2d(wide, points, 1)
        self.bn5 = nn.BatchNorm2d(points)
        self.conv6 = nn.Conv2d(points, 1, 3, stride=2, padding=1)
        self.fc = nn.Linear((CROP_SIDE // 8) ** 2, embedding_dim)

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        """(B, 3, 224, 224) to (B, embedding_dim)."""
        x = functional.relu(self.bn1(self.conv1(crops)))
        x = functional.max_pool2d(self.conv2(x), 2)
        x = self.top_m_0(self.m0(self.conv4(self.conv3(x))))
        x = functional.relu(self.bn_end0(self.conv_last0(x)))
        x = self.conv6(functional.relu(self.bn5(self.l0(x))))
        return self.fc(functional.relu(x.flatten(1)))


class MotionEncoder(ModelMixin, ConfigMixin):
    """From crops to features. The arguments are the network's widths, by default the original ones."""

    _keep_in_fp32_modules = ["backbone", "heads", "embeddings"]  # noqa: RUF012 - diffusers' own way

    @register_to_config
    def __init__(
        self,
        widths: tuple[int, ...] = (64, 128, 256),
        points: int = 68,
        depth: int = 4,
        embedding_dim: int = 512,
        feature_dims: tuple[int, ...] = tuple(FEATURE_GROUPS.values()),
    ) -> None:
        super().__init__()
        if feature_dims[-1] != embedding_dim:
            raise ValueError(
                f"the last of feature_dims is {feature_dims[-1]}, but the mouth's features are the embedding: give "
                f"{embedding_dim}"
            )
        self.backbone = Backbone(widths, points, depth, embedding_dim)
        self.heads = nn.ModuleDict(
            {
                name: nn.Sequential(
                    nn.Linear(embedding_dim, embedding_dim),
                    nn.ReLU(),
                    nn.BatchNorm1d(embedding_dim),
                    nn.Linear(embedding_dim, embedding_dim),
                )
                for name in FEATURE_GROUPS
            }
        )
        named = zip(tuple(FEATURE_GROUPS)[:-1], feature_dims[:-1], strict=True)
        self.embeddings = nn.ModuleDict({name: nn.Linear(embedding_dim, width) for name, width in named})

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        """Features (B, 554), head pose | eyes | emotion | mouth, of crops (B, 3, 224, 224), RGB in -1 to 1."""
        if crops.ndim != 4 or crops.shape[1:] != (3, CROP_SIDE, CROP_SIDE):
            raise ValueError(f"crops have shape {tuple(crops.shape)}: (B, 3, {CROP_SIDE}, {CROP_SIDE}) is needed")
        embedding = self.backbone(crops)
        read = {name: head(embedding) for name, head in self.heads.items()}
        for name, layer in self.embeddings.items():
            read[name] = layer(functional.relu(read[name]))
        return torch.cat([read[name] for name in FEATURE_GROUPS], dim=1)


class CropEncoder:
    """The motion encoder on numpy arrays: crops float32 (B, 3, 224, 224) to features float32 (B, 554)."""

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        self._model = MotionEncoder.from_pretrained(folder).to(device).eval()

    @torch.no_grad()
    def __call__(self, crops: NDArray[np.float32]) -> NDArray[np.float32]:
        """Features of RGB crops in -1 to 1."""
        features = self._model(torch.from_numpy(np.ascontiguousarray(crops)).to(self._model.device))
        return np.asarray(features.float().cpu().numpy())
