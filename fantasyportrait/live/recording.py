"""Recording of a live scene: frames that come at any time become a video of a constant rate."""

import math
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.errors import Cancelled
from fantasyportrait.media.writer import VideoWriter
from fantasyportrait.service.request_runner import METADATA

RATE = Fraction(25)
MAX_RECORDING_S = 60
# Part of a frame by which a difference of two times may be too small.
_ROUNDING = 1e-6


class LiveRecording:
    """Writes a video of at most `MAX_RECORDING_S` seconds; a frame is shown from its time to that of the next one.

    The file appears at `path` when the recording is finished, and not at all when it is cancelled. `size` is (width,
    height). The methods raise `OutputError` as `media.writer.VideoWriter` does.
    """

    def __init__(self, path: Path, size: tuple[int, int]) -> None:
        self._path = path
        self._writer: VideoWriter | None = VideoWriter(path, size, RATE, metadata=METADATA).__enter__()
        self._start_s = 0.0
        self._last: NDArray[np.uint8] | None = None
        self._written = 0

    @property
    def length_s(self) -> float:
        """Seconds of the video so far."""
        return float(self._written / RATE)

    @property
    def finished(self) -> bool:
        """Whether the file is complete: after `finish`, and when the longest length is reached."""
        return self._writer is None

    def add(self, frame: NDArray[np.uint8], at_s: float) -> None:
        """Add a frame, RGB uint8 (H, W, 3), shown from `at_s`; times may begin anywhere. Later ones are left out where
        the longest length is reached."""
        if self._writer is None:
            return
        if self._last is None:
            self._start_s = at_s
        self._fill(math.floor((at_s - self._start_s) * RATE + _ROUNDING))
        self._last = frame
        if self._written >= MAX_RECORDING_S * RATE:
            self.finish()

    def finish(self) -> Path:
        """Complete the file, and return its path."""
        if self._writer is not None:
            self._fill(min(self._written + 1, int(MAX_RECORDING_S * RATE)))
            writer, self._writer = self._writer, None
            writer.__exit__(None, None, None)
        return self._path

    def cancel(self) -> None:
        """Stop, and remove what was written."""
        if self._writer is not None:
            writer, self._writer = self._writer, None
            stopped = Cancelled("the recording was stopped")
            writer.__exit__(Cancelled, stopped, None)

    def _fill(self, until: int) -> None:
        """Repeat the last frame up to that number of frames."""
        while self._writer is not None and self._last is not None and self._written < until:
            if self._written >= MAX_RECORDING_S * RATE:
                return
            self._writer.write(self._last)
            self._written += 1
