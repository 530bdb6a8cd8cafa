"""Wan2.1's image-to-video transformer with motion attention in every block."""

import inspect
from typing import Any

import torch
from diffusers.configuration_utils import register_to_config
from diffusers.models.modeling_outputs import Transformer2DModelOutput
from diffusers.models.modeling_utils import ModelMixin  # noqa: F401 - a pipeline's `from_pretrained` looks for it here
from diffusers.models.transformers.transformer_wan import WanTransformer3DModel, WanTransformerBlock
from diffusers.utils import apply_lora_scale
from diffusers.utils.torch_utils import maybe_allow_in_graph
from torch import nn

from fantasyportrait.models.diffusers_compat import checkpointed, register_block, uncast_patterns
from fantasyportrait.models.motion_attention import MotionAttnProcessor


@maybe_allow_in_graph
class FantasyPortraitTransformerBlock(WanTransformerBlock):
    """A Wan block whose cross-attention has `to_k_motion` and `to_v_motion` (motion_dim -> dim, no bias)."""

    def __init__(
        self,
        dim: int,
        ffn_dim: int,
        num_heads: int,
        qk_norm: str,
        cross_attn_norm: bool,
        eps: float,
        added_kv_proj_dim: int | None,
        motion_dim: int,
    ) -> None:
        super().__init__(dim, ffn_dim, num_heads, qk_norm, cross_attn_norm, eps, added_kv_proj_dim)
        self.attn2.to_k_motion = nn.Linear(motion_dim, dim, bias=False)
        self.attn2.to_v_motion = nn.Linear(motion_dim, dim, bias=False)
        self.attn2.set_processor(MotionAttnProcessor())

    def forward(
        self,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        temb: torch.Tensor,
        rotary_emb: tuple[torch.Tensor, torch.Tensor],
        motion_hidden_states: torch.Tensor | None = None,
        motion_attention_mask: torch.Tensor | None = None,
        motion_query_mask: torch.Tensor | None = None,
        motion_scale: torch.Tensor | None = None,
        tokens_per_frame: int = 0,
    ) -> torch.Tensor:
        """Self-attention, cross-attention with motion, feed-forward: (B, L, D) to (B, L, D); `temb` is (B, 6, D)."""
        modulation = (self.scale_shift_table + temb.float()).chunk(6, dim=1)
        shift, scale, gate, ff_shift, ff_scale, ff_gate = modulation
        normed = (self.norm1(hidden_states.float()) * (1 + scale) + shift).type_as(hidden_states)
        attended = self.attn1(normed, None, None, rotary_emb)
        hidden_states = (hidden_states.float() + attended * gate).type_as(hidden_states)

        normed = self.norm2(hidden_states.float()).type_as(hidden_states)
        hidden_states = hidden_states + self.attn2(
            normed,
            encoder_hidden_states,
            motion_hidden_states=motion_hidden_states,
            motion_attention_mask=motion_attention_mask,
            motion_query_mask=motion_query_mask,
            motion_scale=motion_scale,
            tokens_per_frame=tokens_per_frame,
        )

        normed = (self.norm3(hidden_states.float()) * (1 + ff_scale) + ff_shift).type_as(hidden_states)
        fed = self.ffn(normed)
        return (hidden_states.float() + fed.float() * ff_gate).type_as(hidden_states)


class FantasyPortraitTransformer3DModel(WanTransformer3DModel):
    """Wan's transformer with motion attention; `motion_dim` is the width of a motion token, 2048 in the original."""

    _no_split_modules = ["FantasyPortraitTransformerBlock"]  # noqa: RUF012 - diffusers' own way
    _repeated_blocks = ["FantasyPortraitTransformerBlock"]  # noqa: RUF012
    # Motion projections lose too much in 8 bits.
    _skip_layerwise_casting_patterns = [*uncast_patterns(WanTransformer3DModel), "motion"]  # noqa: RUF012

    @register_to_config
    def __init__(
        self,
        patch_size: tuple[int, ...] = (1, 2, 2),
        num_attention_heads: int = 40,
        attention_head_dim: int = 128,
        in_channels: int = 36,
        out_channels: int = 16,
        text_dim: int = 4096,
        freq_dim: int = 256,
        ffn_dim: int = 13824,
        num_layers: int = 40,
        cross_attn_norm: bool = True,
        qk_norm: str = "rms_norm_across_heads",
        eps: float = 1e-6,
        image_dim: int | None = 1280,
        added_kv_proj_dim: int | None = 5120,
        rope_max_seq_len: int = 1024,
        pos_embed_seq_len: int | None = None,
        motion_dim: int = 2048,
    ) -> None:
        stock = inspect.signature(WanTransformer3DModel.__init__).parameters
        given = {name: value for name, value in self.config.items() if name in stock}
        # Without blocks: the stock ones would be replaced below.
        super().__init__(**{**given, "num_layers": 0})
        self.register_to_config(num_layers=num_layers)
        dim = num_attention_heads * attention_head_dim
        self.blocks = nn.ModuleList(
            FantasyPortraitTransformerBlock(
                dim, ffn_dim, num_attention_heads, qk_norm, cross_attn_norm, eps, added_kv_proj_dim, motion_dim
            )
            for _ in range(num_layers)
        )

    @apply_lora_scale("attention_kwargs")
    def forward(
        self,
        hidden_states: torch.Tensor,
        timestep: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        encoder_hidden_states_image: torch.Tensor | None = None,
        return_dict: bool = True,
        attention_kwargs: dict[str, Any] | None = None,
        motion_hidden_states: torch.Tensor | None = None,
        motion_attention_mask: torch.Tensor | None = None,
        motion_scale: float | torch.Tensor = 1.0,
    ) -> Transformer2DModelOutput | tuple[torch.Tensor]:
        """Predict the velocity.

        Args:
            hidden_states: (B, 36, F, H, W): noisy latents, then the image condition.
            timestep: (B,), 0 to 1000.
            encoder_hidden_states: (B, 512, text_dim), zero-padded text.
            encoder_hidden_states_image: (B, 257, image_dim), CLIP features of the portrait.
            return_dict, attention_kwargs: as in diffusers.
            motion_hidden_states: (B, F, N * 97, motion_dim), the token windows of N faces, concatenated.
            motion_attention_mask: bool (B or 1, F or 1, tokens a frame, N * 97 or 1), True = may attend. For a
                token that may attend to nothing, the output of the branch is exactly zero.
            motion_scale: factor of the motion tokens' values: one number, a tensor (B,) for each sample, or
                (B, N * 97) for each token. With 0, or without motion, the result equals stock Wan's bit for bit.

        Raises:
            ValueError: motion tokens or mask do not fit the latents.
        """
        batch, _, frames, height, width = hidden_states.shape
        patch_t, patch_h, patch_w = self.config.patch_size
        grid = (frames // patch_t, height // patch_h, width // patch_w)
        motion = self._motion(batch, grid, motion_hidden_states, motion_attention_mask, motion_scale)

        rotary_emb = self.rope(hidden_states)
        tokens = self.patch_embedding(hidden_states).flatten(2).transpose(1, 2).contiguous()
        temb, timestep_proj, encoder_hidden_states, encoder_hidden_states_image = self.condition_embedder(
            timestep, encoder_hidden_states, encoder_hidden_states_image
        )
        timestep_proj = timestep_proj.unflatten(1, (6, -1))
        if encoder_hidden_states_image is not None:
            encoder_hidden_states = torch.concat([encoder_hidden_states_image, encoder_hidden_states], dim=1)

        for block in self.blocks:
            if torch.is_grad_enabled() and self.gradient_checkpointing:
                tokens = checkpointed(self, block, tokens, encoder_hidden_states, timestep_proj, rotary_emb, *motion)
            else:
                tokens = block(tokens, encoder_hidden_states, timestep_proj, rotary_emb, *motion)

        shift, scale = (self.scale_shift_table.to(temb.device) + temb.unsqueeze(1)).chunk(2, dim=1)
        shift, scale = shift.to(tokens.device), scale.to(tokens.device)
        tokens = (self.norm_out(tokens.float()) * (1 + scale) + shift).type_as(tokens)
        tokens = self.proj_out(tokens)
        patches = tokens.reshape(batch, *grid, patch_t, patch_h, patch_w, -1).permute(0, 7, 1, 4, 2, 5, 3, 6)
        output = patches.flatten(6, 7).flatten(4, 5).flatten(2, 3)
        return Transformer2DModelOutput(sample=output) if return_dict else (output,)

    def enable_cache(self, config: Any) -> None:
        """Enable a step cache of diffusers (FirstBlockCache, MagCache), whose hooks must know our block class."""
        if type(config).__name__ == "TaylorSeerCacheConfig" and not config.cache_identifiers:
            raise ValueError(
                "TaylorSeer's default identifiers match no layer of Wan, so nothing would be cached: set "
                "cache_identifiers, for example [r'blocks\\.\\d+\\.attn1', r'blocks\\.\\d+\\.ffn']"
            )
        register_block(FantasyPortraitTransformerBlock)
        super().enable_cache(config)

    def _motion(
        self,
        batch: int,
        grid: tuple[int, int, int],
        tokens: torch.Tensor | None,
        mask: torch.Tensor | None,
        scale: float | torch.Tensor,
    ) -> tuple[torch.Tensor | None, torch.Tensor | None, torch.Tensor | None, torch.Tensor | None, int]:
        """The blocks' motion arguments: tokens, mask (no row all False), query mask, scale, tokens of a frame."""
        frames, tokens_per_frame = grid[0], grid[1] * grid[2]
        if tokens is None or (not isinstance(scale, torch.Tensor) and scale == 0):
            return None, None, None, None, 0
        if tokens.ndim != 4 or tokens.shape[:2] != (batch, frames) or tokens.shape[3] != self.config.motion_dim:
            raise ValueError(
                f"motion_hidden_states has shape {tuple(tokens.shape)}, but the latents ask for ({batch}, {frames}, "
                f"faces * 97, {self.config.motion_dim}): one window of motion tokens for each latent frame"
            )
        scales = torch.as_tensor(scale, dtype=torch.float32, device=tokens.device)
        scales = scales.reshape(batch if scales.numel() > 1 else 1, 1, -1, 1)
        if mask is None:
            return tokens, None, None, scales, tokens_per_frame
        whole = (batch, frames, tokens_per_frame, tokens.shape[2])
        if mask.ndim != 4 or any(size not in (1, full) for size, full in zip(mask.shape, whole, strict=True)):
            raise ValueError(f"motion_attention_mask has shape {tuple(mask.shape)}: it must broadcast to {whole}")
        query_mask = mask.any(dim=-1, keepdim=True)
        # Softmax over nothing is not a number, so such a row attends to everything and is then set to zero.
        mask = (mask | ~query_mask).expand(whole)
        return tokens, mask, query_mask.expand(*whole[:3], 1), scales, tokens_per_frame
