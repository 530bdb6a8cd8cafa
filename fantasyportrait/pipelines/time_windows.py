"""Overlapping windows of latent frames for long videos, and the weights that blend their predictions."""

import math
from dataclasses import dataclass
from itertools import pairwise

import torch

# The length that the model was trained on.
WINDOW_FRAMES = 81
# 0.8 s at the default 25 frames a second.
OVERLAP_FRAMES = 20


@dataclass(frozen=True)
class TimeWindow:
    """Latent frames `start` to `start + length` of a video."""

    start: int
    length: int

    @property
    def stop(self) -> int:
        """The index after the last latent frame."""
        return self.start + self.length

    @property
    def frames(self) -> slice:
        """The window's 4 (length - 1) + 1 frames of the video, beginning with the last of its first latent frame."""
        return slice(4 * self.start, 4 * (self.stop - 1) + 1)


def time_windows(latents: int, window: int, overlap: int) -> tuple[TimeWindow, ...]:
    """The fewest, evenly spaced windows of `window` latent frames over `latents` that overlap by at least `overlap`."""
    if latents <= window:
        return (TimeWindow(0, latents),)
    if not 0 < overlap < window:
        raise ValueError(f"windows of {window} latent frames cannot overlap by {overlap}: 0 < overlap < window")
    steps = math.ceil((latents - window) / (window - overlap))
    return tuple(TimeWindow(number * (latents - window) // steps, window) for number in range(steps + 1))


def blend_weights(windows: tuple[TimeWindow, ...]) -> tuple[torch.Tensor, ...]:
    """Weights (length,) for the latent frames of each window; for every latent frame of the video they sum to 1.

    Every window is conditioned on the portrait as its first frame, which biases its first latent frames towards the
    portrait. Where two windows share m frames, the later one's weight is k / m at the k-th (0 at its own first frame),
    and the earlier one's is 1 - k / m.
    """
    raw = [torch.ones(window.length, dtype=torch.float64) for window in windows]
    for index, (before, after) in enumerate(pairwise(windows)):
        shared = before.stop - after.start
        ramp = torch.arange(shared, dtype=torch.float64) / shared
        raw[index + 1][:shared] *= ramp
        raw[index][-shared:] *= 1 - ramp
    total = torch.zeros(windows[-1].stop, dtype=torch.float64)
    for window, weight in zip(windows, raw, strict=True):
        total[window.start : window.stop] += weight
    return tuple((w / total[v.start : v.stop]).float() for v, w in zip(windows, raw, strict=True))
