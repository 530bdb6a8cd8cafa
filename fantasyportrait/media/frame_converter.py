"""Conversion of decoded frames to upright 8-bit RGB: scaling, pixel aspect, colour matrix, HDR, alpha, rotation."""

import functools
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import numpy as np
from av import VideoFrame
from av.buffer import Buffer
from numpy.typing import NDArray

from fantasyportrait.core.limits import Limits
from fantasyportrait.images.size_checks import check_pixels
from fantasyportrait.media.filter_graph import FilterGraph, filter_chain
from fantasyportrait.media.tone_mapping import is_hdr, tone_mapping_graph

_UNSPECIFIED = 2
_HD = 1280


class FrameConverter:
    """Turns the frames of one stream of `path` into uint8 (H, W, 3), all of the first one's size.

    `pixel_aspect` is the width of a stored pixel over its height; the longest side becomes at most `max_side`.
    """

    def __init__(self, path: Path, limits: Limits, pixel_aspect: float = 1.0, max_side: int | None = None) -> None:
        self._path, self._limits = path, limits
        self._aspect = pixel_aspect if 0.1 <= pixel_aspect <= 10 else 1.0
        self._max_side = max_side
        self._size: tuple[int, int] | None = None
        self._pipes: list[FilterGraph] = []
        self._kind: tuple[object, ...] = ()
        self._turn = (False, False, False)

    def stored_size(self, frame: VideoFrame) -> tuple[int, int]:
        """(width, height) that the frame is scaled to, before it is turned upright."""
        width, height = max(1, round(frame.width * self._aspect)), frame.height
        check_pixels(self._path, (width, height), self._limits)
        scale = min(1.0, (self._max_side or width + height) / max(width, height))
        return max(1, round(width * scale)), max(1, round(height * scale))

    def upright_size(self, frame: VideoFrame) -> tuple[int, int]:
        """(width, height) of what `pixels` returns for this frame."""
        width, height = self.stored_size(frame)
        return (height, width) if _turned(frame)[0] else (width, height)

    def pixels(self, frame: VideoFrame) -> NDArray[np.uint8]:
        """Upright RGB uint8 (H, W, 3); alpha lies on white, HDR is mapped to the range of a screen."""
        self._size = self._size or self.stored_size(frame)
        kind = (frame.width, frame.height, frame.format.name, frame.colorspace, frame.color_range, frame.color_trc)
        if kind != self._kind:
            # Only here: a frame that was asked for its side data lives on, with its picture, until the garbage
            # collector comes by.
            self.stored_size(frame)  # refuses frames that become too large in the middle of a clip
            self._pipes, self._kind, self._turn = _pipes(frame, self._size), kind, _turned(frame)
        picture = functools.reduce(lambda passed, pipe: pipe.map(passed), self._pipes, frame)
        pixels = picture.to_ndarray()
        if pixels.shape[2] == 4:
            alpha = pixels[:, :, 3:].astype(np.uint16)
            pixels = ((pixels[:, :, :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
        return _upright(pixels.astype(np.uint8, copy=False), self._turn)


def _pipes(frame: VideoFrame, size: tuple[int, int]) -> list[FilterGraph]:
    shrinks = size[0] < frame.width and size[1] < frame.height
    scale = f"{size[0]}:{size[1]}:flags={'area' if shrinks else 'bicubic'}"
    is_guess = frame.colorspace == _UNSPECIFIED and not frame.format.is_rgb
    if is_hdr(frame):
        codes = filter_chain(frame, ("scale", scale + ":in_color_matrix=bt2020" * is_guess), ("format", "rgb48le"))
        return [codes, tone_mapping_graph(codes.map(frame))]
    if is_guess and max(frame.width, frame.height) >= _HD:
        scale += ":in_color_matrix=bt709"  # what every player assumes of untagged HD
    return [filter_chain(frame, ("scale", scale), ("format", "rgba" if _has_alpha(frame) else "rgb24"))]


def _has_alpha(frame: VideoFrame) -> bool:
    return any(component.is_alpha for component in frame.format.components) or frame.format.name == "pal8"


def _turned(frame: VideoFrame) -> tuple[bool, bool, bool]:
    """(swap the axes, then mirror left-right, then mirror up-down) of the frame's display matrix."""
    try:
        matrix = cast(Mapping[str, Buffer], frame.side_data)["DISPLAYMATRIX"]
        a, b, _, c, d, *_ = struct.unpack("9i", bytes(matrix))
    except (KeyError, struct.error):
        return False, False, False
    swaps = abs(b) + abs(c) > abs(a) + abs(d)
    return swaps, (c if swaps else a) < 0, (b if swaps else d) < 0


def _upright(pixels: NDArray[np.uint8], turn: tuple[bool, bool, bool]) -> NDArray[np.uint8]:
    swaps, mirror_x, mirror_y = turn
    turned = pixels.transpose(1, 0, 2) if swaps else pixels
    return np.ascontiguousarray(turned[:: -1 if mirror_y else 1, :: -1 if mirror_x else 1])
