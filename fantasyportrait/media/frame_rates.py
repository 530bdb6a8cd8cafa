"""The true frame rate of a clip, by the times of its frames: headers are often wrong."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from math import log

STANDARD_RATES = tuple(
    sorted(
        [Fraction(rate) for rate in (5, 10, 12, 15, 20, 24, 25, 30, 48, 50, 60, 100, 120, 240)]
        + [Fraction(rate * 1000, 1001) for rate in (24, 30, 60, 120, 240)]
    )
)
_ROUNDING_S = Fraction(3, 2000)  # containers that count milliseconds
_CLOSE = Fraction(1, 2000)  # half of what lies between 29.97 and 30
_STEADY_SHARE = 0.9


def measured_rate(
    times: Sequence[Fraction], stated: Fraction | None = None, tick_s: Fraction = _ROUNDING_S
) -> tuple[Fraction, bool] | None:
    """(frames a second, whether that is constant) of frames that begin at `times`, ascending, in seconds.

    A constant rate is exact: the `stated` one of the header if the times agree with it, else a standard one, else as
    measured; a few dropped frames do not count. A variable rate is the mean. `tick_s` is the time's resolution. None
    where there is only one frame.
    """
    steps = [later - earlier for earlier, later in pairwise(times) if later > earlier]
    if not steps:
        return None
    mean = len(steps) / sum(steps, Fraction(0))
    usual = sorted(steps)[len(steps) // 2]
    rounding_s = min(usual / 4, max(_ROUNDING_S, tick_s))
    regular = [step for step in steps if abs(step - usual) <= rounding_s]
    if len(regular) < _STEADY_SHARE * len(steps):
        return mean, False
    measured = len(regular) / sum(regular, Fraction(0))
    slack = max(_CLOSE, min(Fraction(1, 50), rounding_s / (len(regular) * usual)))
    known = [rate for rate in (stated, *STANDARD_RATES) if rate and abs(measured / rate - 1) <= slack]
    if known:
        return min(known, key=lambda rate: (rate != stated, abs(measured / rate - 1))), True
    return (measured, True) if max(regular) - min(regular) <= tick_s else (mean, False)


def nearest_standard(rate: Fraction) -> Fraction:
    """The standard rate that is nearest by ratio."""
    return min(STANDARD_RATES, key=lambda standard: abs(log(standard / rate)))
