"""The side-by-side video: driving clips, source and result at one height, composed with moviepy while it streams."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from fantasyportrait.core.errors import RequestError
from fantasyportrait.media.images import resize
from fantasyportrait.media.sound import Block
from fantasyportrait.media.timeline import Timeline, round_half_up
from fantasyportrait.media.writer import VideoWriter

Pixels = NDArray[np.uint8]
Column = Literal["driving", "source", "result"]

MAX_HEIGHT = 360
_COLUMNS: tuple[Column, ...] = ("driving", "source", "result")
_STRIP = 24
_GAP = 4


@dataclass(frozen=True)
class Panel:
    """One picture of the side-by-side: `frames`, uint8 (H, W, 3) read once an output frame, or a `still`.

    Panels of one column stand on top of each other. Frames that end early hold their last one.
    """

    label: str
    frames: Iterator[Pixels] | None = None
    still: Pixels | None = None
    column: Column = "result"

    def __post_init__(self) -> None:
        if (self.frames is None) == (self.still is None):
            raise RequestError(f'the panel "{self.label}" needs either frames or a still picture')


def side_by_side(
    out: Path,
    panels: Sequence[Panel],
    timeline: Timeline,
    sound: Iterator[Block] | None = None,
    metadata: dict[str, str] | None = None,
) -> None:
    """Write `out` with the columns driving, source, result, each at most 360 pixels high, labelled.

    Raises RequestError without panels or frames, OutputError where `out` cannot be written.
    """
    from moviepy import CompositeVideoClip, ImageClip, VideoClip  # slow to import

    feeds = [_Feed(panel) for panel in panels]
    if not feeds:
        raise RequestError("a side-by-side needs at least one panel")
    boxes, size = _layout([(panel.column, feed.size) for panel, feed in zip(panels, feeds, strict=True)])
    background = _background(size, [(panel.label, box) for panel, box in zip(panels, boxes, strict=True)])
    duration_s = float(timeline.duration_s)
    layers: list[Any] = [ImageClip(background).with_duration(duration_s)]
    for feed, (left, top, width, height) in zip(feeds, boxes, strict=True):
        show = feed.at((width, height), timeline.rate)
        layers.append(VideoClip(show, duration=duration_s).with_position((left, top)))
    scene = CompositeVideoClip(layers, size=size, use_bgclip=True).with_duration(duration_s)
    with VideoWriter(out, size, timeline.rate, sound, metadata) as writer:
        for index in range(timeline.frames):
            writer.write(np.asarray(scene.get_frame(float(index / timeline.rate)), np.uint8))


class _Feed:
    """Sequential frames behind moviepy's function of time; it may ask for one time twice, never for an earlier one."""

    def __init__(self, panel: Panel) -> None:
        self._frames = iter(()) if panel.frames is None else panel.frames
        first = panel.still if panel.still is not None else next(self._frames, None)
        if first is None:
            raise RequestError(f'the panel "{panel.label}" has no frames')
        self.size = (first.shape[1], first.shape[0])
        self._moves = panel.frames is not None
        self._index = 0
        self._frame: Pixels = first

    def at(self, size: tuple[int, int], rate: Fraction) -> Callable[[float], Pixels]:
        """A function of the time in seconds that returns frames of `size` (width, height)."""
        scaled = resize(self._frame, size, fast=True)

        def frame_at(time_s: float) -> Pixels:
            nonlocal scaled
            wanted = round_half_up(Fraction(time_s) * rate)
            if self._moves and self._index < wanted:
                for _ in range(wanted - self._index):
                    self._frame = next(self._frames, self._frame)
                self._index = wanted
                scaled = resize(self._frame, size, fast=True)
            return scaled

        return frame_at


def _layout(
    panels: Sequence[tuple[Column, tuple[int, int]]],
) -> tuple[list[tuple[int, int, int, int]], tuple[int, int]]:
    """(left, top, width, height) of each panel below its label, and the size of the whole, both even."""
    height = min(MAX_HEIGHT, max(size[1] for _, size in panels)) // 2 * 2
    boxes = [(0, 0, 0, 0)] * len(panels)
    left = _GAP
    for column in _COLUMNS:
        members = [index for index, (name, _) in enumerate(panels) if name == column]
        cell = (height - _STRIP * (len(members) - 1)) // max(1, len(members))
        if members and cell < _STRIP:
            raise RequestError(f"a side-by-side has no room for {len(members)} panels in one column")
        widths = [max(1, round(panels[index][1][0] * cell / panels[index][1][1])) for index in members]
        for row, (index, width) in enumerate(zip(members, widths, strict=True)):
            top = _STRIP + row * (cell + _STRIP)
            boxes[index] = (left + (max(widths) - width) // 2, top, width, cell)
        left += max(widths) + _GAP if members else 0
    return boxes, (left + left % 2, height + _STRIP)


def _background(size: tuple[int, int], labels: Sequence[tuple[str, tuple[int, int, int, int]]]) -> Pixels:
    """Dark ground with each label above its panel, cut to the panel's width."""
    canvas = Image.new("RGB", size, (24, 24, 27))
    font = ImageFont.load_default(14)
    for text, (left, top, width, _) in labels:
        strip = Image.new("RGB", (width, _STRIP), (24, 24, 27))
        ImageDraw.Draw(strip).text((2, 3), text, fill=(228, 228, 231), font=font)
        canvas.paste(strip, (left, top - _STRIP))
    return np.asarray(canvas)
