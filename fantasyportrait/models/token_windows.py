"""The motion tokens of each latent frame; the VAE encodes the first frame alone, then four frames at a time."""

import torch
from torch.nn import functional

FRAMES_PER_LATENT = 4


def latent_frames(frames: int) -> int:
    """Latent frames of `frames` = 4k + 1 frames; `ValueError` for another count."""
    if frames < 1 or frames % FRAMES_PER_LATENT != 1:
        raise ValueError(f"{frames} frames do not fill latent frames: the count must be 4 k + 1, such as 77, 81 or 201")
    return frames // FRAMES_PER_LATENT + 1


def token_windows(frame_tokens: torch.Tensor, fill: float | bool = 0.0) -> torch.Tensor:
    """The windows (B, F_lat, 4 T + 1, C) over a video's tokens (B, F, T, C), F = 4 k + 1.

    Window 0 has the T tokens of frame 0, then 3 T + 1 tokens of `fill` (zeros that are attended to, as the original
    weights were trained). Window i has the LAST token of frame 4i - 4, then all tokens of frames 4i - 3 to 4i.
    """
    batch, frames, tokens, channels = frame_tokens.shape
    latents = latent_frames(frames)
    window = FRAMES_PER_LATENT * tokens + 1
    first = functional.pad(frame_tokens[:, :1].flatten(1, 2), (0, 0, 0, window - tokens), value=fill).unsqueeze(1)
    if latents == 1:
        return first
    flat = frame_tokens.flatten(1, 2)[:, tokens - 1 :]
    # Neighbouring windows share one token: window i begins at token 4 T (i - 1) of `flat`.
    later = flat.unfold(1, window, window - 1).transpose(2, 3)
    return torch.cat([first, later.reshape(batch, latents - 1, window, channels)], dim=1)
