"""A resampler: learned queries attend to one feature vector and become tokens (perceiver attention)."""

import torch
from torch import nn
from torch.nn import functional


class PerceiverAttention(nn.Module):
    """Queries attend to the input and to themselves; heads of 64, no biases in the projections."""

    def __init__(self, dim: int, heads: int, head_dim: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_input = nn.LayerNorm(dim)
        self.norm_queries = nn.LayerNorm(dim)
        self.to_q = nn.Linear(dim, heads * head_dim, bias=False)
        self.to_kv = nn.Linear(dim, 2 * heads * head_dim, bias=False)
        self.to_out = nn.Linear(heads * head_dim, dim, bias=False)

    def forward(self, inputs: torch.Tensor, queries: torch.Tensor) -> torch.Tensor:
        """Inputs (B, M, dim) and queries (B, n, dim) to (B, n, dim)."""
        queries = self.norm_queries(queries)
        key, value = self.to_kv(torch.cat([self.norm_input(inputs), queries], dim=1)).chunk(2, dim=-1)
        query, key, value = (
            states.unflatten(-1, (self.heads, -1)).transpose(1, 2) for states in (self.to_q(queries), key, value)
        )
        out = functional.scaled_dot_product_attention(query, key, value)
        return self.to_out(out.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """Layer norm, a linear layer to four times the width, GELU, a linear layer back; no biases."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.up = nn.Linear(dim, 4 * dim, bias=False)
        self.down = nn.Linear(4 * dim, dim, bias=False)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """(B, n, dim) to (B, n, dim)."""
        return self.down(functional.gelu(self.up(self.norm(states))))


class ResamplerLayer(nn.Module):
    """Attention and feed-forward, each with a residual connection."""

    def __init__(self, dim: int, heads: int, head_dim: int) -> None:
        super().__init__()
        self.attention = PerceiverAttention(dim, heads, head_dim)
        self.feed_forward = FeedForward(dim)

    def forward(self, inputs: torch.Tensor, queries: torch.Tensor) -> torch.Tensor:
        """Inputs (B, M, dim) and queries (B, n, dim) to new queries (B, n, dim)."""
        queries = queries + self.attention(inputs, queries)
        return queries + self.feed_forward(queries)


class Resampler(nn.Module):
    """A feature (B, feature_dim) becomes `tokens` tokens (B, tokens, out_dim)."""

    def __init__(
        self, feature_dim: int, tokens: int, dim: int, layers: int, heads: int, head_dim: int, out_dim: int
    ) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(1, tokens, dim) / dim**0.5)
        self.proj_in = nn.Linear(feature_dim, dim)
        self.layers = nn.ModuleList(ResamplerLayer(dim, heads, head_dim) for _ in range(layers))
        self.proj_out = nn.Linear(dim, out_dim)
        self.norm_out = nn.LayerNorm(out_dim)

    def forward(self, feature: torch.Tensor) -> torch.Tensor:
        """(B, feature_dim) to (B, tokens, out_dim)."""
        inputs = self.proj_in(feature).unsqueeze(1)
        queries = self.queries.expand(len(feature), -1, -1)
        for layer in self.layers:
            queries = layer(inputs, queries)
        return self.norm_out(self.proj_out(queries))
