"""Times of the rows of a CSV file: timecodes HH:MM:SS:FF.sub, or seconds."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.sentences import Sentence
from fantasyportrait.media.frame_rates import STANDARD_RATES, measured_rate, nearest_standard
from fantasyportrait.schema.timeline import MAX_RATE, MIN_RATE

DEFAULT_RATE = Fraction(60)
"""Frames a second of Live Link Face, where the file does not say."""
TIME_COLUMNS = ("timecode", "time", "seconds", "timestamp", "time_s")
"""Names of the column of times in lower case."""
_TIMECODE = re.compile(r"([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})[:;]([0-9]{1,3}(?:\.[0-9]{1,9})?)", re.ASCII)
_CLOCK = re.compile(r"([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2}(?:\.[0-9]{1,9})?)", re.ASCII)
_SECONDS = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,20})?(?:[eE][+-]?[0-9]{1,2})?", re.ASCII)
_DAY_S = 24 * 3600


@dataclass(frozen=True, eq=False)
class CurveTimes:
    """Times of rows.

    Attributes:
        times_s: float64 (N,), ascending from 0.
        rows: int64 (N,), the rows that are used: of several with one time the first.
        rate: rows a second; the standard rate nearest to their mean where the times are irregular.
        length_s: seconds up to the end of the last row.
        messages: sentences about assumptions.
    """

    times_s: NDArray[np.float64]
    rows: NDArray[np.int64]
    rate: Fraction
    length_s: Fraction
    messages: tuple[str, ...] = ()


def timecode(row: int, rate: Fraction) -> str:
    """The timecode of a row at a whole `rate`, from 00:00:00:00.000 on."""
    seconds, frame = divmod(row, int(rate))
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}:{frame:02}.000"


def read_times(texts: Sequence[str], count: int) -> CurveTimes:
    """The times of `count` rows from the texts of their column; none where the file has no such column.

    Raises ValueError for a text that is no time, and for times that go back.
    """
    if not texts:
        given = [row / DEFAULT_RATE for row in range(count)]
        return _ascending(
            given,
            [Sentence("it has no times: its rows were read as {default_rate} a second", default_rate=DEFAULT_RATE)],
        )
    messages: list[str] = []
    if all(_TIMECODE.fullmatch(text) for text in texts):
        given = _of_timecodes(texts, messages)
    elif all(_CLOCK.fullmatch(text) for text in texts):
        given = [_clock_s(*map(Fraction, text.split(":"))) for text in texts]
    else:
        given = [_seconds(text, row) for row, text in enumerate(texts, 1)]
    return _ascending(given, messages)


def _of_timecodes(texts: Sequence[str], messages: list[str]) -> list[Fraction]:
    """Seconds of timecodes; the rate is the lowest standard one above the highest number of a frame."""
    parts = [tuple(map(Fraction, re.split("[:;]", text))) for text in texts]
    rate = DEFAULT_RATE
    highest = max(int(frame) for *_, frame in parts)
    if len({part[:3] for part in parts}) > 1:
        rate = next(
            (each for each in STANDARD_RATES if each.denominator == 1 and each > highest), Fraction(highest + 1)
        )
    elif len(parts) > 1:
        messages.append(
            Sentence("its timecodes lie within one second and were read as {rate} frames a second", rate=rate)
        )
    if highest >= MAX_RATE:
        raise ValueError(f"a timecode counts frame {highest}, and at most {MAX_RATE} a second are read")
    return [_clock_s(hours, minutes, seconds) + frame / rate for hours, minutes, seconds, frame in parts]


def _clock_s(hours: Fraction, minutes: Fraction, seconds: Fraction) -> Fraction:
    return 3600 * hours + 60 * minutes + seconds


def _seconds(text: str, row: int) -> Fraction:
    if not _SECONDS.fullmatch(text):
        raise ValueError(f"the time of row {row} is {text[:20]!r}: give HH:MM:SS:FF, or seconds")
    return Fraction(text)


def _ascending(given: Sequence[Fraction], messages: list[str]) -> CurveTimes:
    """Times from 0 on; over midnight they go on, and a repeated time is left out."""
    times, rows = [given[0]], [0]
    day = Fraction(0)
    for row, time in enumerate(given[1:], 1):
        if time + day < times[-1] - _DAY_S / 2:
            day += _DAY_S
        if time + day < times[-1]:
            raise ValueError(f"the time of row {row + 1} is before that of the row above")
        if time + day > times[-1]:
            times.append(time + day)
            rows.append(row)
    if len(rows) < len(given):
        messages.append(
            Sentence("{count} rows have the time of the row above and were left out", count=len(given) - len(rows))
        )
    measured = measured_rate(times)
    own, steady = (DEFAULT_RATE, True) if measured is None else measured
    rate = own if steady else nearest_standard(own)
    bounded = min(max(rate, Fraction(MIN_RATE)), Fraction(MAX_RATE))
    seconds = np.array([float(time - times[0]) for time in times])
    return CurveTimes(seconds, np.array(rows), bounded, times[-1] - times[0] + 1 / rate, tuple(messages))
