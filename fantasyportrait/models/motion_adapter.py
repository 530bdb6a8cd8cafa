"""The motion adapter: the paper's expression-augmented encoder, from motion features to motion tokens (section 3.2)."""

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import nn

from fantasyportrait.models.resampler import Resampler
from fantasyportrait.models.token_windows import FRAMES_PER_LATENT, token_windows
from fantasyportrait.schema.motion_code import FEATURE_GROUPS
from fantasyportrait.schema.regions import Regions


class MotionAdapter(ModelMixin, ConfigMixin):
    """From 554 features a frame to motion tokens: one for each group, and more for the augmented groups.

    Args:
        feature_dims: widths of head pose, eyes, emotion and mouth.
        augmented: (group, tokens of its resampler), in the order of the tokens. The paper has 16 for the mouth and 4
            for the emotion; its ablations have none, or all four groups.
        motion_dim: width of a token.
        dim, num_layers, num_heads, head_dim: sizes of the resamplers.
    """

    # The original adapter runs in float32, and only once a video.
    _keep_in_fp32_modules = ["projections", "norm", "resamplers"]  # noqa: RUF012 - diffusers' own way

    @register_to_config
    def __init__(
        self,
        feature_dims: tuple[int, ...] = tuple(FEATURE_GROUPS.values()),
        augmented: tuple[tuple[str, int], ...] = (("mouth", 16), ("emotion", 4)),
        motion_dim: int = 2048,
        dim: int = 1280,
        num_layers: int = 4,
        num_heads: int = 20,
        head_dim: int = 64,
    ) -> None:
        super().__init__()
        unknown = [name for name, _ in augmented if name not in FEATURE_GROUPS]
        if unknown:
            raise ValueError(f"augmented names {unknown[0]!r}: the feature groups are {', '.join(FEATURE_GROUPS)}")
        widths = dict(zip(FEATURE_GROUPS, feature_dims, strict=True))
        self.projections = nn.ModuleDict({n: nn.Linear(width, motion_dim, bias=False) for n, width in widths.items()})
        self.norm = nn.LayerNorm(motion_dim)
        self.resamplers = nn.ModuleDict(
            {
                name: Resampler(widths[name], tokens, dim, num_layers, num_heads, head_dim, motion_dim)
                for name, tokens in augmented
            }
        )

    @property
    def token_groups(self) -> tuple[str, ...]:
        """The group that each token of a frame comes from, in order: 24 names as in the original."""
        added = (name for name, tokens in self.config.augmented for _ in range(tokens))
        return (*FEATURE_GROUPS, *added)

    @property
    def window_tokens(self) -> int:
        """Motion tokens of a face in one latent frame: 97 as in the original."""
        return FRAMES_PER_LATENT * len(self.token_groups) + 1

    def frame_tokens(self, features: torch.Tensor) -> torch.Tensor:
        """Tokens (B, F, T, motion_dim) of features (B, F, 554): head pose | eyes | emotion | mouth.

        One token a group through its projection and ONE shared norm, then those of the resamplers (T = 24).
        """
        batch, frames, width = features.shape
        if width != sum(self.config.feature_dims):
            raise ValueError(f"features have {width} numbers a frame: {sum(self.config.feature_dims)} are needed")
        groups = dict(
            zip(FEATURE_GROUPS, features.flatten(0, 1).split(tuple(self.config.feature_dims), dim=-1), strict=True)
        )
        plain = self.norm(torch.stack([self.projections[name](groups[name]) for name in FEATURE_GROUPS], dim=1))
        added = [resampler(groups[name]) for name, resampler in self.resamplers.items()]
        return torch.cat([plain, *added], dim=1).unflatten(0, (batch, frames))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Token windows (B, F_lat, 97, motion_dim) of features (B, F, 554), F = 4 k + 1."""
        return token_windows(self.frame_tokens(features))

    def token_mask(self, regions: Regions, frames: int) -> torch.Tensor:
        """Bool (F_lat, 97): the tokens of a window that may be attended to, those of the regions that follow.

        The zero tokens of the first window stay: they are part of the original numbers.
        """
        on = {"head_pose": regions.head, "eyes": regions.eyes, "emotion": regions.emotion, "mouth": regions.mouth}
        flags = torch.tensor([on[name] for name in self.token_groups])
        rows = flags.float().reshape(1, 1, -1, 1).expand(1, frames, -1, 1)
        return token_windows(rows, fill=1.0)[0, :, :, 0] > 0
