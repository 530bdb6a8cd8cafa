"""Exact time: rates are fractions, and the rows of a motion are mapped to the frames of the output."""

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.errors import RequestError

FillMode = Literal["loop", "hold", "pingpong"]

MIN_RATE, MAX_RATE = 1, 240
_NTSC = tuple(Fraction(whole * 1000, 1001) for whole in (24, 30, 48, 60, 120, 240))


@dataclass(frozen=True)
class Timeline:
    """`frames` frames at the exact `rate` (frames a second)."""

    rate: Fraction
    frames: int

    def __post_init__(self) -> None:
        if self.frames < 1 or self.rate <= 0:
            raise RequestError(
                "a timeline needs a frame and a positive rate, not {frames} at {rate}",
                frames=self.frames,
                rate=self.rate,
            )

    @property
    def duration_s(self) -> Fraction:
        """Length in seconds, exact."""
        return self.frames / self.rate


def round_half_up(value: Fraction) -> int:
    """Nearest whole number, halves upwards; Python's `round` rounds them to even, which would change the spacing."""
    return math.floor(value + Fraction(1, 2))


def span_end_s(start_s: float, rows: int, rate: Fraction) -> float:
    """The time in seconds at which `rows` rows from `start_s` end; a clip read up to there gives exactly these rows."""
    return float(Fraction(start_s) + rows / rate)


def frame_count(duration_s: Fraction | float, rate: Fraction) -> int:
    """The number of frames nearest to `duration_s` seconds, at least 1."""
    return max(1, round_half_up(Fraction(duration_s) * rate))


def fill_indices(length: int, total: int, fill: FillMode, delay: int = 0) -> NDArray[np.int64]:
    """Which of `length` rows each of `total` frames shows, int64 (total,).

    `loop` restarts, `hold` repeats the last row, `pingpong` reverses without repeating an end row. The
    first row is held for `delay` frames before it plays.
    """
    if length < 1 or total < 0 or delay < 0:
        raise RequestError(
            "cannot lay {length} rows on {total} frames after {delay}: a motion needs at least one row",
            length=length,
            total=total,
            delay=delay,
        )
    frames: NDArray[np.int64] = np.maximum(np.arange(total, dtype=np.int64) - delay, 0)
    if fill == "hold":
        return np.minimum(frames, length - 1)
    if fill == "loop":
        return frames % length
    if fill == "pingpong":
        phase = frames % max(1, 2 * (length - 1))
        return np.minimum(phase, 2 * (length - 1) - phase)
    raise RequestError('unknown fill "{fill}": choose loop, hold or pingpong', fill=fill)


def parse_rate(text: str) -> Fraction:
    """Frames a second from "25", "30000/1001" or "12.5"; "29.97" and the like mean the exact NTSC rates."""
    if not re.fullmatch(r"\d{1,9}(\.\d{1,9}|/\d{1,9})?", text.strip(), flags=re.ASCII):
        raise RequestError('"{text}" is not a frame rate: write it as 25, 29.97 or 30000/1001', text=text)
    try:
        rate = Fraction(text.strip())
    except ZeroDivisionError:
        rate = Fraction(0)
    if "." in text:
        rate = next((exact for exact in _NTSC if abs(exact - rate) < Fraction(1, 200)), rate)
    if not MIN_RATE <= rate <= MAX_RATE:
        raise RequestError(
            'the frame rate "{text}" is out of range: it must lie between {min_rate} and {max_rate}',
            text=text,
            min_rate=MIN_RATE,
            max_rate=MAX_RATE,
        )
    return rate
