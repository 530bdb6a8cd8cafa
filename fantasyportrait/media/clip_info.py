"""Properties of a driving clip, known before its frames are read."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path


@dataclass(frozen=True)
class ClipInfo:
    """Properties of a clip: upright size in pixels, its own mean rate, length in seconds, whether it has sound, and
    messages for the user.

    A `still` picture is one frame without a length (0 s) and without a rate of its own.
    """

    path: Path
    width: int
    height: int
    rate: Fraction
    duration_s: float
    has_sound: bool
    messages: tuple[str, ...] = ()
    still: bool = False
