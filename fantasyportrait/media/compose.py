"""The side-by-side video: driving clips, source and result on one canvas, a frame of each for every output frame."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from fantasyportrait.core.errors import RequestError
from fantasyportrait.images.images import resize
from fantasyportrait.media.sound import Block
from fantasyportrait.media.writer import VideoWriter
from fantasyportrait.schema.timeline import Timeline

Pixels = NDArray[np.uint8]
Column = Literal["driving", "source", "result"]
Colour = tuple[int, int, int]
Box = tuple[int, int, int, int]

MAX_HEIGHT = 360
_COLUMNS: tuple[Column, ...] = ("driving", "source", "result")
_GROUND: Colour = (24, 24, 27)
_TEXT: Colour = (228, 228, 231)
_STRIP = 24
_GAP = 4
_LEAST_CELL = 80  # a driver's panel is at least so high
_MOST_ACROSS = 4  # drivers beside each other
_NARROW = 150  # panels of less width get at least so much for their labels, in smaller letters


@dataclass(frozen=True)
class Panel:
    """One picture of the side-by-side: `frames`, uint8 (H, W, 3) read once an output frame, or a `still`.

    Panels of one column stand on top of each other, many of them in a grid. Frames that end early hold their last one.
    Each of the `badges`, a short text and its colour, stands before the label.
    """

    label: str
    frames: Iterator[Pixels] | None = None
    still: Pixels | None = None
    column: Column = "result"
    badges: tuple[tuple[str, Colour], ...] = ()

    def __post_init__(self) -> None:
        if (self.frames is None) == (self.still is None):
            raise RequestError('the panel "{label}" needs either frames or a still picture', label=self.label)


def side_by_side(
    out: Path,
    panels: Sequence[Panel],
    timeline: Timeline,
    sound: Iterator[Block] | None = None,
    metadata: dict[str, str] | None = None,
) -> None:
    """Write `out` with the columns driving, source, result, labelled; source and result at most 360 pixels high.

    Raises RequestError without panels or frames, OutputError where `out` cannot be written.
    """
    streams = [_PanelFrames(panel) for panel in panels]
    if not streams:
        raise RequestError("a side-by-side needs at least one panel")
    boxes, size = _layout([(panel.column, stream.size) for panel, stream in zip(panels, streams, strict=True)])
    canvas = _background(size, list(zip(panels, boxes, strict=True)))
    with VideoWriter(out, size, timeline.rate, sound, metadata) as writer:
        for _ in range(timeline.frames):
            for stream, box in zip(streams, boxes, strict=True):
                stream.draw(canvas, box)
            writer.write(canvas)


class _PanelFrames:
    """A panel's frames, one after another, drawn where they changed."""

    def __init__(self, panel: Panel) -> None:
        self._frames: Iterator[Pixels] = iter(()) if panel.frames is None else panel.frames
        first = panel.still if panel.still is not None else next(self._frames, None)
        if first is None:
            raise RequestError('the panel "{label}" has no frames', label=panel.label)
        self.size = (first.shape[1], first.shape[0])
        self._shown: Pixels | None = None
        self._next: Pixels | None = first

    def draw(self, canvas: Pixels, box: Box) -> None:
        """Draw the next frame into the box (left, top, width, height), if it differs from the last one."""
        if self._next is None:
            following = next(self._frames, None)
            if following is None or following is self._shown:
                return
            self._next = following
        left, top, width, height = box
        canvas[top : top + height, left : left + width] = resize(self._next, (width, height), fast=True)
        self._shown, self._next = self._next, None


def _layout(panels: Sequence[tuple[Column, tuple[int, int]]]) -> tuple[list[Box], tuple[int, int]]:
    """(left, top, width, height) of each panel below its label, and the size of the whole, both even."""
    members = {name: [index for index, (column, _) in enumerate(panels) if column == name] for name in _COLUMNS}
    height = min(MAX_HEIGHT, max(size[1] for _, size in panels)) // 2 * 2
    grids = {name: _grid(len(indices), height) for name, indices in members.items() if indices}
    tallest = max([height, *(rows * (_LEAST_CELL + _STRIP) - _STRIP for rows, _ in grids.values() if rows > 1)])
    boxes: list[Box] = [(0, 0, 0, 0)] * len(panels)
    left = _GAP
    for name, (rows, across) in grids.items():
        cell = ((tallest if rows > 1 else height) - _STRIP * (rows - 1)) // rows
        for first in range(0, rows * across, rows):
            stack = members[name][first : first + rows]
            if not stack:
                break
            widths = [max(1, round(panels[index][1][0] * cell / panels[index][1][1])) for index in stack]
            wide = max(*widths, _NARROW if rows * across > 1 else 0)
            for row, (index, width) in enumerate(zip(stack, widths, strict=True)):
                top = _STRIP + row * (cell + _STRIP)
                boxes[index] = (left + (wide - width) // 2, top, width, cell)
            left += wide + _GAP
    return boxes, (left + left % 2, tallest + tallest % 2 + _STRIP)


def _grid(count: int, height: int) -> tuple[int, int]:
    """(rows, columns) of a grid for `count` panels: one column while they stay large enough, then more."""
    fit = max(1, (height + _STRIP) // (_LEAST_CELL + _STRIP))
    across = min(_MOST_ACROSS, -(-count // fit))
    return -(-count // across), across


def _background(size: tuple[int, int], panels: Sequence[tuple[Panel, Box]]) -> Pixels:
    """Dark background with badges and a label above each panel, cut to the width of the panel or its column."""
    canvas = Image.new("RGB", size, _GROUND)
    for panel, (left, top, width, _) in panels:
        wide = max(width, _NARROW) if panel.column == "driving" else width
        font = ImageFont.load_default(14 if width >= _NARROW else 12)
        strip = Image.new("RGB", (wide, _STRIP), _GROUND)
        draw = ImageDraw.Draw(strip)
        at = 2
        for text, colour in panel.badges:
            length = round(draw.textlength(text, font))
            draw.rectangle((at, 2, at + length + 7, _STRIP - 4), fill=colour)
            draw.text((at + 4, 10), text, fill="white", font=font, anchor="lm")
            at += length + 11
        draw.text((at, 10), panel.label, fill=_TEXT, font=font, anchor="lm")
        canvas.paste(strip, (max(_GAP, left - (wide - width) // 2), top - _STRIP))
    return np.array(canvas)
