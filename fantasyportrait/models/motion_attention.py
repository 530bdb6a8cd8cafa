"""Motion attention: the third branch of Wan's cross-attention, in which video tokens attend to motion tokens.

`out = o(attn(q, text) + attn(q, image) + scale * attn_t(q, motion))`, where in `attn_t` the tokens of a latent frame
attend only to the motion tokens of that frame, and a mask separates the motions of several people (paper section 3.3).
"""

import torch
import torch.distributed as distributed
from diffusers.models.attention_dispatch import AttentionBackendName, dispatch_attention_fn
from diffusers.models.transformers.transformer_wan import WanAttention, WanAttnProcessor
from torch.nn import functional

from fantasyportrait.models.diffusers_compat import (
    added_kv_projections,
    attention_backend,
    context_parallel_mesh,
    qkv_projections,
)

# Text tokens after padding; the tokens before them in the context are image tokens.
TEXT_TOKENS = 512


class MotionAttnProcessor(WanAttnProcessor):
    """Wan's cross-attention with the motion branch. Without motion it is the stock processor, bit for bit."""

    def __call__(
        self,
        attn: WanAttention,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        rotary_emb: tuple[torch.Tensor, torch.Tensor] | None = None,
        motion_hidden_states: torch.Tensor | None = None,
        motion_attention_mask: torch.Tensor | None = None,
        motion_query_mask: torch.Tensor | None = None,
        motion_scale: torch.Tensor | None = None,
        tokens_per_frame: int = 0,
    ) -> torch.Tensor:
        """Attend to text, image and motion.

        Args:
            attn: the module that owns the projections, `to_k_motion` and `to_v_motion` among them.
            hidden_states: (B, L, D) video tokens; under context parallelism this rank's part of them.
            encoder_hidden_states: (B, image + 512, D) image tokens, then text tokens.
            attention_mask, rotary_emb: None; the stock processor's arguments.
            motion_hidden_states: (B, F, K, C) motion tokens of each latent frame, or None.
            motion_attention_mask: bool (B, F, tokens_per_frame, K), True = may attend, every row with at least one
                True; None = all.
            motion_query_mask: bool (B, F, tokens_per_frame, 1), False for a token without motion; None = none.
            motion_scale: (B, 1, K or 1, 1), a factor of each motion token's value.
            tokens_per_frame: video tokens of one latent frame.
        """
        if motion_hidden_states is None:
            return super().__call__(attn, hidden_states, encoder_hidden_states, attention_mask, rotary_emb)
        if attention_mask is not None or rotary_emb is not None:
            raise ValueError(
                "motion attention takes neither attention_mask nor rotary_emb: Wan's cross-attention has none"
            )
        motion = (motion_hidden_states, motion_attention_mask, motion_query_mask, motion_scale)
        image, text = encoder_hidden_states[:, :-TEXT_TOKENS], encoder_hidden_states[:, -TEXT_TOKENS:]
        query, key, value = qkv_projections(attn, hidden_states, text)
        query = _heads(attn, attn.norm_q(query))
        out = self._attend(query, _heads(attn, attn.norm_k(key)), _heads(attn, value))
        if attn.add_k_proj is not None:
            key, value = added_kv_projections(attn, image)
            out = out + self._attend(query, _heads(attn, attn.norm_added_k(key)), _heads(attn, value))
        out = out + self._attend_motion(attn, query, motion, tokens_per_frame)
        return attn.to_out[1](attn.to_out[0](out))

    def _attend(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        out = dispatch_attention_fn(query, key, value, backend=attention_backend(self))
        return out.flatten(2, 3).type_as(query)

    def _attend_motion(
        self,
        attn: WanAttention,
        query: torch.Tensor,
        motion: tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None, torch.Tensor | None],
        tokens_per_frame: int,
    ) -> torch.Tensor:
        """The motion branch (B, L, D): each latent frame's queries against that frame's motion tokens."""
        tokens, mask, query_mask, scale = motion
        batch, length = query.shape[:2]
        first = self._first_token(length, tokens.shape[1] * tokens_per_frame)
        # A rank's tokens may begin and end within a frame: pad them to whole frames, and crop the result.
        begin, end = first // tokens_per_frame, -(-(first + length) // tokens_per_frame)
        before, after = first - begin * tokens_per_frame, end * tokens_per_frame - first - length
        if before or after:
            query = functional.pad(query, (0, 0, 0, 0, before, after))
        tokens = tokens[:, begin:end]
        value = attn.to_v_motion(tokens)
        if scale is not None:
            value = value * scale.type_as(value)
        # Flash and Sage refuse a mask that depends on the query, and varlen backends silently merge it over queries.
        out = dispatch_attention_fn(
            query.unflatten(1, (end - begin, tokens_per_frame)).flatten(0, 1),
            _heads(attn, attn.to_k_motion(tokens).flatten(0, 1)),
            _heads(attn, value.flatten(0, 1)),
            attn_mask=None if mask is None else mask[:, begin:end].flatten(0, 1).unsqueeze(1),
            backend=AttentionBackendName.NATIVE,
        )
        out = out.flatten(2, 3).type_as(query).unflatten(0, (batch, end - begin))
        if query_mask is not None:
            out = out * query_mask[:, begin:end]
        return out.flatten(1, 2)[:, before : before + length]

    def _first_token(self, length: int, total: int) -> int:
        """Index of this rank's first token among the video's tokens; 0 without context parallelism."""
        mesh = context_parallel_mesh(self)
        if length == total or mesh is None:
            return 0
        rank = distributed.get_rank(mesh.get_group())
        return rank * (total // mesh.size()) + min(rank, total % mesh.size())


def _heads(attn: WanAttention, states: torch.Tensor) -> torch.Tensor:
    return states.unflatten(-1, (attn.heads, -1))
