"""Frames of a reel, composed by moviepy from arrays: shots fitted on one canvas, cross-fades, title card, captions.

moviepy neither reads nor writes here: it counts frames wrongly and changes rates (see `media.clips`, `media.writer`).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.optional import require
from fantasyportrait.images.images import resize
from fantasyportrait.schema.timeline import round_half_up

Pixels = NDArray[np.uint8]

EXTRA, PURPOSE = "reel", "cutting a reel"
_DIM = 0.35  # of the blurred background of a clip with another aspect ratio
_BLUR_SIDE = 24


@dataclass(frozen=True)
class Shot:
    """A shot of the reel.

    Attributes:
        open: returns its frames, uint8 (h, w, 3) of any size, one for each frame of the reel; the last one is held.
        begin, frames: its place in frames of the reel. It fades in over the end of the shot before.
        caption: uint8 (h, w, 4) RGBA at the foot of the frame, or None.
    """

    open: Callable[[], Iterator[Pixels]]
    begin: int
    frames: int
    caption: Pixels | None = None


def reel_frames(shots: Sequence[Shot], size: tuple[int, int], rate: Fraction, fade: int) -> Iterator[Pixels]:
    """Yield every frame of the reel, uint8 (H, W, 3) of `size` (width, height); fades are `fade` frames long.

    Raises `DependencyError` where moviepy is not installed, and what the shots' frames raise.
    """
    moviepy = require("moviepy", extra=EXTRA, purpose=PURPOSE)
    total = max(shot.begin + shot.frames for shot in shots)
    layers: list[Any] = [moviepy.ColorClip(size, (0, 0, 0)).with_duration(float(total / rate))]
    for shot in shots:
        layers += _shot_layers(moviepy, shot, size, rate, fade)
    scene = moviepy.CompositeVideoClip(layers, size=size, use_bgclip=True)
    for index in range(total):
        frame = np.asarray(scene.get_frame(float(index / rate)), np.uint8)
        left = total - 1 - index
        yield frame if left >= fade else (frame * np.float32(left / fade)).astype(np.uint8)


def _shot_layers(moviepy: Any, shot: Shot, size: tuple[int, int], rate: Fraction, fade: int) -> list[Any]:
    """Return the layers of a shot: its fade, the rest, which needs no mask and is faster, and the caption on top."""
    stream = _ShotFrames(shot.open, size)

    def clip(first: int, frames: int) -> Any:
        made = moviepy.VideoClip(duration=float(frames / rate))
        # Set after construction: moviepy would read a frame of every clip at once.
        made.frame_function = lambda time_s: stream.at(first + round_half_up(Fraction(time_s) * rate))
        made.size = size
        return made.with_start(float((shot.begin + first) / rate))

    layers = [clip(fade, shot.frames - fade)]
    if fade:
        layers.insert(0, clip(0, fade).with_effects([moviepy.vfx.CrossFadeIn(float(fade / rate))]))
    if shot.caption is not None and shot.frames > 2 * fade:
        shown_s = float((shot.frames - 2 * fade) / rate)
        ease = moviepy.vfx.CrossFadeIn(min(0.4, shown_s / 4)), moviepy.vfx.CrossFadeOut(min(0.4, shown_s / 4))
        top = size[1] - shot.caption.shape[0] - round(min(size) / 24)
        text = moviepy.ImageClip(shot.caption, transparent=True, duration=shown_s).with_effects(list(ease))
        layers.append(text.with_position(("center", top)).with_start(float((shot.begin + fade) / rate)))
    return layers


class _ShotFrames:
    """Adapts an iterator of frames to moviepy's function of time, which never goes back."""

    def __init__(self, opened: Callable[[], Iterator[Pixels]], size: tuple[int, int]) -> None:
        self._open, self._size = opened, size
        self._frames: Iterator[Pixels] | None = None
        self._index = -1
        self._read: Pixels | None = None
        self._shown = np.zeros((size[1], size[0], 3), np.uint8)

    def at(self, index: int) -> Pixels:
        """Frame `index`, on the canvas."""
        if self._frames is None:
            self._frames = self._open()
        before = self._read
        while self._index < index:
            self._read = next(self._frames, self._read)
            self._index += 1
        if self._read is not None and self._read is not before:
            self._shown = fitted(self._read, self._size)
        return self._shown


def fitted(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """Fit the picture into `size` (width, height), on a blurred and darkened copy of itself."""
    height, width = pixels.shape[:2]
    scale = min(size[0] / width, size[1] / height)
    inner = min(size[0], max(1, round(width * scale))), min(size[1], max(1, round(height * scale)))
    if inner == size:
        return resize(pixels, size)
    small = resize(pixels, (_BLUR_SIDE, _BLUR_SIDE), fast=True)
    canvas = np.array(resize((small * np.float32(_DIM)).astype(np.uint8), size, fast=True))
    left, top = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    canvas[top : top + inner[1], left : left + inner[0]] = resize(pixels, inner)
    return canvas
