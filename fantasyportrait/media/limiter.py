"""A true-peak limiter: loud parts are attenuated slowly enough to stay undistorted, quiet parts are unchanged.

Peaks are measured between the samples as well (4 times oversampled, as in ITU-R BS.1770-4). The gain at a time is the
lowest that a peak within 0.75 s needs, smoothed over half a second to each side. It looks ahead, so nothing is clipped
or delayed, and a steady tone, or the beat of several, gets one constant gain.
"""

from collections import deque
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Block = NDArray[np.float32]
Curve = NDArray[np.float64]

CEILING = 10 ** (-1 / 20)
"""-1 dBTP (EBU R 128): lossy codecs overshoot by less than what is left."""

_HOP = 48  # samples that share one measured peak: 1 ms at 48 kHz
_HOLD = 750  # hops; at least _SMOOTH, or the smoothed gain would let a peak through
_SMOOTH = 500
_REACH = _HOLD + _SMOOTH
_OVERSAMPLED = 4
_TAPS = 32  # neighbours of a sample from which a value between two samples is interpolated


def limit_peaks(blocks: Iterator[Block], ceiling: float = CEILING) -> Iterator[Block]:
    """The same blocks, float32 (n, 2) at 48 kHz, with a true peak of at most `ceiling` (1 is full scale).

    Where no peak within 1.25 s is above it, the samples come back bit for bit. All blocks but the last must be of one
    length, a multiple of 48. About 1.3 s of sound wait inside.
    """
    meter = _PeakMeter()
    gain = _Gain(ceiling)
    waiting: deque[Block] = deque()
    for block in blocks:
        waiting.append(block)
        gain.add(meter.peaks(block))
        while waiting and gain.ready(len(waiting[0])):
            yield _turned_down(waiting.popleft(), gain)
    gain.add(meter.finish())
    gain.finish()
    while waiting:
        yield _turned_down(waiting.popleft(), gain)


def _turned_down(block: Block, gain: "_Gain") -> Block:
    lowered = gain.take(len(block))
    return block if lowered is None else (block * lowered[:, None]).astype(np.float32)


class _PeakMeter:
    """True peaks of a stream, one for each 48 samples; each is known once the samples after it are."""

    def __init__(self) -> None:
        self._kernels = _interpolators()
        self._held: NDArray[np.float64] = np.zeros((_TAPS // 2, 2))

    def peaks(self, block: Block) -> Curve:
        """Add a block and return the peaks of the hops that are complete with it."""
        self._held = np.concatenate([self._held, block])
        hops = max(0, (len(self._held) - _TAPS) // _HOP)
        return self._measured(hops)

    def finish(self) -> Curve:
        """Return the peaks of the last samples, as if silence followed."""
        left = len(self._held) - _TAPS // 2
        hops = -(-left // _HOP)
        self._held = np.pad(self._held, ((0, hops * _HOP - left + _TAPS // 2), (0, 0)))
        return self._measured(hops)

    def _measured(self, hops: int) -> Curve:
        if not hops:
            return np.zeros(0)
        used, half = hops * _HOP, _TAPS // 2
        part = self._held[: used + _TAPS]
        self._held = self._held[used:]
        level = np.abs(part[half : half + used]).max(axis=1)
        for channel in part.T:
            for kernel in self._kernels:
                between = np.convolve(channel, kernel, mode="valid")[1 : used + 1]
                level = np.maximum(level, np.abs(between))
        return np.asarray(level.reshape(hops, _HOP).max(axis=1))


class _Gain:
    """The gain of the stream, from the peaks of its hops.

    It is stored as the reduction, 1 - gain, whose average is exactly 0 where nothing is loud.
    """

    def __init__(self, ceiling: float) -> None:
        self._ceiling = ceiling
        window = np.hanning(2 * _SMOOTH + 1)
        self._window = window / window.sum()
        self._wanted: Curve = np.zeros(0)  # reductions, from _REACH + 1 hops before the next sample on

    def add(self, peaks: Curve) -> None:
        """Add the peaks of the next hops."""
        wanted = 1 - np.minimum(1, self._ceiling / np.maximum(peaks, 1e-30))
        if not len(self._wanted):
            wanted = np.pad(wanted, (_REACH + 1 if len(wanted) else 0, 0), mode="edge")
        self._wanted = np.concatenate([self._wanted, wanted])

    def finish(self) -> None:
        """End the stream: the last peak is repeated."""
        if len(self._wanted):
            self._wanted = np.pad(self._wanted, (0, _REACH + 1), mode="edge")

    def ready(self, samples: int) -> bool:
        """Whether the peaks that determine the gain of the next `samples` are known."""
        return len(self._wanted) >= _needed(samples)

    def take(self, samples: int) -> Curve | None:
        """The gain (n,) of the next `samples`; None where it is 1 throughout."""
        wanted = self._wanted[: _needed(samples)]
        self._wanted = self._wanted[samples // _HOP :]
        if not wanted.any():
            return None
        # A gain at each border of two hops, low enough for both: between two borders it is interpolated.
        reduction = np.convolve(_window_max(wanted, 2 * _HOLD + 2), self._window, mode="valid")
        return np.asarray(1 - np.interp(np.arange(samples) / _HOP, np.arange(len(reduction)), reduction))


def _needed(samples: int) -> int:
    return -(-samples // _HOP) + 2 * _REACH + 2


def _window_max(values: Curve, size: int) -> Curve:
    """The largest of each `size` neighbours, (n - size + 1,)."""
    result, width = values, 1
    while width < size:
        step = min(width, size - width)
        result = np.maximum(result[:-step], result[step:])
        width += step
    return result


def _interpolators() -> list[Curve]:
    """Windowed sinc filters (32,) for the values 1/4, 2/4 and 3/4 of a sample after each sample."""
    places = np.arange(_TAPS) - (_TAPS // 2 - 1)
    kernels = []
    for part in range(1, _OVERSAMPLED):
        away = places - part / _OVERSAMPLED
        kernel = np.sinc(away) * np.kaiser(2001, 8.0)[np.round(1000 + away * 1000 / (_TAPS / 2)).astype(int)]
        kernels.append(kernel[::-1] / kernel.sum())
    return kernels
