"""Long videos: windows of latent frames that overlap, and the weights with which their predictions are blended."""

import math
from dataclasses import dataclass
from itertools import pairwise

import torch

# 81 frames, the length the model was trained on; up to 201 were published in one pass.
WINDOW_FRAMES = 81
MAX_WINDOW_FRAMES = 201
# 0.8 s of the default 25 frames a second.
OVERLAP_FRAMES = 20


@dataclass(frozen=True)
class TimeWindow:
    """Latent frames `start` to `start + length` of a video."""

    start: int
    length: int

    @property
    def stop(self) -> int:
        """The latent frame behind the last."""
        return self.start + self.length

    @property
    def frames(self) -> slice:
        """The window's own frames of the video: 4 (length - 1) + 1, the first of them being the last that its first
        latent frame stands for."""
        return slice(4 * self.start, 4 * (self.stop - 1) + 1)


def time_windows(latents: int, window: int, overlap: int) -> tuple[TimeWindow, ...]:
    """As few windows of `window` latent frames over `latents` as share at least `overlap`, evenly spread."""
    if latents <= window:
        return (TimeWindow(0, latents),)
    if not 0 < overlap < window:
        raise ValueError(f"windows of {window} latent frames cannot overlap by {overlap}: 0 < overlap < window")
    steps = math.ceil((latents - window) / (window - overlap))
    return tuple(TimeWindow(number * (latents - window) // steps, window) for number in range(steps + 1))


def blend_weights(windows: tuple[TimeWindow, ...]) -> tuple[torch.Tensor, ...]:
    """Weights (length,) of each window's frames; over a video's latent frame they sum to 1.

    Every window is conditioned on the portrait as if that were its own first frame, so what it says of its first
    latent frames is drawn towards the portrait. Where two windows share m frames the later one's weight is k / m at
    the k-th of them (nothing at its own first), and the earlier one has the rest.
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
