"""Any layout of channels becomes stereo, by the coefficients of ITU-R BS.775: what is in the middle goes to both sides
at -3 dB, surround to its side at -3 dB, low-frequency effects are left out.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_HALF_POWER = 2**-0.5
_SIDES = {"F": 1.0, "D": 1.0} | dict.fromkeys(
    ("B", "S", "SD", "W", "TF", "TS", "TB", "BF", "SS", "TT"), _HALF_POWER
)  # the names of FFmpeg without their last letter, L or R
_GAINS = {f"{place}L": (level, 0.0) for place, level in _SIDES.items()}
_GAINS |= {f"{place}R": (0.0, level) for place, level in _SIDES.items()}
_GAINS |= {
    "FLC": (1.0, 0.0),
    "FRC": (0.0, 1.0),
    "FC": (_HALF_POWER, _HALF_POWER),
    "LFE": (0.0, 0.0),
    "LFE2": (0.0, 0.0),
}
_GAINS |= dict.fromkeys(("BC", "TC", "TFC", "TBC", "BFC"), (0.5, 0.5))
_GAINS |= {
    "AMBI0": (_HALF_POWER, _HALF_POWER)
}  # ambisonics: the omnidirectional channel; the directional ones are left out
_USUAL = {
    3: ("FL", "FR", "FC"),
    4: ("FL", "FR", "BL", "BR"),
    5: ("FL", "FR", "FC", "BL", "BR"),
    6: ("FL", "FR", "FC", "LFE", "BL", "BR"),
    7: ("FL", "FR", "FC", "LFE", "BC", "SL", "SR"),
    8: ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR"),
}  # the layout of so many channels in WAV and FLAC files that do not name it


def downmix_matrix(channels: Sequence[str]) -> NDArray[np.float32]:
    """Return the gain of each channel, by FFmpeg's short name, to left and right: float32 (n, 2).

    One channel goes to both sides as it is. Channels without a known name are taken by their number: two are left and
    right, more than eight go left and right by turns, at a level that keeps their power.
    """
    count = len(channels)
    if count == 1:
        return np.ones((1, 2), np.float32)
    known = sum(name in _GAINS for name in channels)
    if count == 2 and known < 2:
        return np.eye(2, dtype=np.float32)
    if not known and count not in _USUAL:
        return np.asarray(np.eye(2)[np.arange(count) % 2] * (2 / count) ** 0.5, np.float32)
    names = channels if known else _USUAL[count]
    return np.array([_GAINS.get(name, (0.0, 0.0)) for name in names], np.float32)
