"""The acts of the built-in motions as tables of eased keys: seconds and value for each control.

A control is a blendshape (a name without Left or Right means both sides), or one of `POSE`: the head's pitch, yaw and
roll in degrees, its shift x and y in cm and `near`, the share by which it grows; or the gaze, -1 to 1, x to the image's
right and y down. By the sign rules of `core.geometry`: pitch > 0 nods down, yaw > 0 turns to the person's own right
(the image's left), roll > 0 tilts to the person's own left (clockwise in the image).
Every table begins and ends at 0, so that cycles join.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from fantasyportrait.motion.curves import Keyframe
from fantasyportrait.motion.speech import SINGING, TALKING, speech

POSE = ("pitch", "yaw", "roll", "x", "y", "near")
GAZE = ("gazeX", "gazeY")
Keyframes = Mapping[str, Sequence[Keyframe]]


@dataclass(frozen=True)
class KeyframeMotion:
    """One built-in motion.

    Attributes:
        keys: control -> keys of one cycle.
        script: instead of a cycle, keys for a whole duration (s) from a generator of random numbers.
        idle: how much of the idle head sway goes with it.
    """

    keys: Keyframes = field(default_factory=dict)
    script: Callable[[float, np.random.Generator], Keyframes] | None = None
    idle: float = 1.0

    @property
    def period_s(self) -> float:
        """Seconds of one natural cycle; 0 without one."""
        return max((keys[-1][0] for keys in self.keys.values()), default=0.0)


def _hold(start: float, rise: float, end: float, fall: float, value: float, period: float) -> tuple[Keyframe, ...]:
    """Keyframes of a value that rises from `start`, stays until `end`, falls, and rests until `period`."""
    return ((0.0, 0.0), (start, 0.0), (start + rise, value), (end, value), (end + fall, 0.0), (period, 0.0))


def _beats(start: float, step: float, values: Sequence[float], period: float) -> tuple[Keyframe, ...]:
    """Keyframes that visit `values` at equal steps between rests."""
    beats = [(start + step * (k + 1), value) for k, value in enumerate(values)]
    return ((0.0, 0.0), (start, 0.0), *beats, (start + step * (len(values) + 1), 0.0), (period, 0.0))


def _blink(start: float, period: float, closed: float = 0.08) -> tuple[Keyframe, ...]:
    """Keyframes of one full blink."""
    return _hold(start, 0.12, start + 0.12 + closed, 0.2, 1.0, period)


_HA = (0.42, 0.2, 0.5, 0.22, 0.48, 0.2, 0.4, 0.18, 0.3)
_DOUBLE_BLINK = (*_blink(0.5, 2.8)[:-1], *_blink(1.6, 2.8)[1:])
# fmt: off
KEYFRAME_MOTIONS: Mapping[str, KeyframeMotion] = MappingProxyType({
    "idle": KeyframeMotion(),
    "nod": KeyframeMotion({
        "pitch": _beats(0.3, 0.28, (9.0, -2.0, 7.5, -1.0, 4.0), 3.2),
        "browInnerUp": _hold(0.3, 0.4, 1.4, 0.6, 0.18, 3.2),
        "mouthSmile": _hold(0.4, 0.6, 1.8, 0.8, 0.15, 3.2), "gazeY": _beats(0.3, 0.28, (-0.25, 0.05, -0.2), 3.2)}),
    "shake": KeyframeMotion({
        "yaw": _beats(0.3, 0.34, (9.0, -12.0, 11.0, -8.0, 3.0), 3.4), "browDown": _hold(0.3, 0.4, 1.9, 0.6, 0.25, 3.4),
        "gazeX": _beats(0.3, 0.34, (0.35, -0.45, 0.4, -0.3, 0.1), 3.4), "pitch": _hold(0.3, 0.5, 1.9, 0.6, 1.5, 3.4),
        "mouthPress": _hold(0.3, 0.5, 1.9, 0.6, 0.35, 3.4)}),
    "smile": KeyframeMotion({
        "mouthSmile": ((0.0, 0.0), (0.3, 0.0), (1.0, 0.85), (1.7, 0.95), (2.6, 0.85), (3.5, 0.0), (3.8, 0.0)),
        "cheekSquint": _hold(0.5, 0.6, 2.4, 0.9, 0.6, 3.8), "eyeSquint": _hold(0.6, 0.6, 2.4, 0.8, 0.3, 3.8),
        "mouthUpperUp": _hold(0.5, 0.6, 2.5, 0.8, 0.2, 3.8), "jawOpen": _hold(0.5, 0.6, 2.5, 0.8, 0.05, 3.8),
        "browOuterUp": _hold(0.3, 0.5, 1.3, 0.9, 0.15, 3.8), "roll": _hold(0.4, 0.9, 2.3, 1.2, -3.0, 3.8),
        "pitch": _hold(0.4, 0.8, 2.3, 1.0, -2.0, 3.8)}),
    "laugh": KeyframeMotion({
        "mouthSmile": _hold(0.15, 0.45, 2.9, 0.8, 0.95, 4.0), "cheekSquint": _hold(0.2, 0.5, 2.8, 0.7, 0.8, 4.0),
        "eyeSquint": _hold(0.3, 0.5, 2.7, 0.7, 0.65, 4.0), "mouthUpperUp": _hold(0.3, 0.4, 2.7, 0.7, 0.3, 4.0),
        "jawOpen": _beats(0.35, 0.13, (*_HA, 0.15, 0.36, 0.16, 0.4, 0.17, 0.33, 0.15, 0.24, 0.1), 4.0),
        "y": _beats(0.4, 0.13, [0.25 * k for k in (-1, 0.3, -1, 0.3, -1, 0.3, -0.8, 0.2, -0.5, 0.1, -0.7, 0.2)], 4.0),
        "pitch": ((0.0, 0.0), (0.3, 0.0), (0.8, -6.0), (1.5, -4.0), (2.2, 5.0), (2.9, 3.0), (3.7, 0.0), (4.0, 0.0)),
        "roll": ((0.0, 0.0), (0.4, 0.0), (1.1, 3.5), (2.3, -2.5), (3.5, 0.0), (4.0, 0.0)),
        "browInnerUp": _hold(0.2, 0.4, 1.6, 1.2, 0.3, 4.0)}),
    "wink": KeyframeMotion({
        "eyeBlinkLeft": _hold(0.7, 0.14, 1.06, 0.26, 1.0, 3.0),
        "eyeSquintRight": _hold(0.7, 0.2, 1.06, 0.35, 0.15, 3.0),
        "cheekSquintLeft": _hold(0.65, 0.2, 1.1, 0.35, 0.8, 3.0), "browDownLeft": _hold(0.65, 0.2, 1.1, 0.4, 0.3, 3.0),
        "mouthSmileLeft": _hold(0.5, 0.35, 1.5, 0.8, 0.7, 3.0), "mouthSmileRight": _hold(0.5, 0.4, 1.5, 0.8, 0.3, 3.0),
        "roll": _hold(0.4, 0.5, 1.3, 0.8, 4.0, 3.0), "yaw": _hold(0.4, 0.5, 1.3, 0.8, 3.0, 3.0)}),
    "blink": KeyframeMotion({
        "eyeBlink": (*_DOUBLE_BLINK[:-1], *_blink(2.05, 2.8)[1:]), "browDown": _hold(0.45, 0.15, 0.65, 0.3, 0.1, 2.8),
        "pitch": _hold(1.5, 0.3, 2.1, 0.5, 1.2, 2.8)}),
    "surprise": KeyframeMotion({
        "browInnerUp": _hold(0.4, 0.2, 1.7, 0.9, 0.9, 3.8), "browOuterUp": _hold(0.4, 0.2, 1.7, 0.9, 0.85, 3.8),
        "eyeWide": _hold(0.4, 0.2, 1.6, 0.8, 0.9, 3.8), "jawOpen": _hold(0.42, 0.28, 1.5, 0.9, 0.5, 3.8),
        "mouthFunnel": _hold(0.45, 0.3, 1.5, 0.8, 0.3, 3.8), "pitch": _hold(0.38, 0.25, 1.4, 1.0, -5.0, 3.8),
        "near": _hold(0.38, 0.3, 1.4, 1.1, -0.03, 3.8), "mouthSmile": _hold(2.0, 0.6, 2.8, 0.8, 0.3, 3.8)}),
    "frown": KeyframeMotion({
        "browDown": _hold(0.3, 0.5, 2.4, 0.8, 0.9, 3.6), "mouthFrown": _hold(0.4, 0.6, 2.4, 0.8, 0.75, 3.6),
        "noseSneer": _hold(0.4, 0.5, 2.2, 0.7, 0.3, 3.6), "eyeSquint": _hold(0.3, 0.5, 2.3, 0.7, 0.4, 3.6),
        "mouthPress": _hold(0.4, 0.5, 2.4, 0.8, 0.4, 3.6), "pitch": _hold(0.3, 0.6, 2.3, 0.9, 3.5, 3.6),
        "yaw": _hold(0.6, 0.8, 2.0, 1.0, -2.5, 3.6)}),
    "sad": KeyframeMotion({
        "browInnerUp": _hold(0.3, 0.9, 3.2, 1.0, 0.8, 4.6), "mouthFrown": _hold(0.4, 0.9, 3.2, 1.0, 0.8, 4.6),
        "gazeY": _hold(0.6, 0.5, 3.0, 0.6, 0.7, 4.6), "pitch": _hold(0.5, 1.1, 3.1, 1.2, 6.0, 4.6),
        "roll": _hold(0.6, 1.2, 2.9, 1.3, -3.0, 4.6), "eyeBlink": _hold(1.9, 0.2, 2.2, 0.4, 1.0, 4.6)}),
    "look_around": KeyframeMotion({
        "gazeX": ((0, 0), (0.4, 0), (0.5, 0.9), (1.3, 0.8), (1.42, -0.9), (2.5, -0.8), (2.62, 0.2),
                  (3.3, 0.2), (3.4, 0), (4, 0)),
        "gazeY": ((0, 0), (2.5, 0), (2.62, -0.7), (3.3, -0.6), (3.4, 0), (4, 0)),
        "yaw": ((0, 0), (0.5, 0), (1.0, -9.0), (1.4, -9.0), (2.1, 10.0), (2.5, 10.0), (3.1, -1.0), (3.8, 0), (4, 0)),
        "pitch": ((0, 0), (2.5, 0.5), (3.0, -4.5), (3.3, -4.5), (3.9, 0), (4, 0)),
        "browOuterUp": _hold(2.5, 0.3, 3.2, 0.5, 0.35, 4.0)}),
    "kiss": KeyframeMotion({
        "mouthPucker": ((0, 0), (0.4, 0), (0.9, 0.95), (1.5, 1.0), (1.7, 0.45), (2.3, 0), (3.4, 0)),
        "jawOpen": ((0, 0), (1.5, 0), (1.7, 0.08), (2.1, 0), (3.4, 0)), "near": _hold(0.4, 0.7, 1.5, 1.0, 0.03, 3.4),
        "eyeBlink": _hold(0.7, 0.3, 1.4, 0.35, 0.55, 3.4), "pitch": _hold(0.4, 0.6, 1.5, 0.9, -3.0, 3.4),
        "roll": _hold(0.4, 0.7, 1.5, 1.0, 3.5, 3.4), "mouthSmile": _hold(1.8, 0.4, 2.4, 0.7, 0.45, 3.4)}),
    "think": KeyframeMotion({
        "gazeX": _hold(0.4, 0.12, 2.7, 0.12, 0.6, 4.4), "gazeY": _hold(0.4, 0.12, 2.7, 0.12, -0.65, 4.4),
        "browDownRight": _hold(0.4, 0.5, 2.8, 0.7, 0.5, 4.4), "browOuterUpLeft": _hold(0.4, 0.5, 2.8, 0.7, 0.6, 4.4),
        "mouthPress": _hold(0.6, 0.5, 2.8, 0.6, 0.6, 4.4), "mouthSmileLeft": _hold(0.7, 0.6, 2.8, 0.7, 0.35, 4.4),
        "roll": _hold(0.4, 0.8, 2.7, 1.1, 4.5, 4.4), "yaw": _hold(0.4, 0.8, 2.7, 1.1, -5.0, 4.4),
        "pitch": _hold(0.4, 0.8, 2.7, 1.1, -3.0, 4.4)}),
    "yawn": KeyframeMotion({
        "jawOpen": ((0, 0), (0.4, 0), (1.5, 0.75), (2.4, 0.9), (3.3, 0.05), (3.7, 0), (4.8, 0)),
        "eyeBlink": _hold(0.8, 0.6, 2.8, 0.6, 1.0, 4.8), "eyeSquint": _hold(0.7, 0.7, 2.6, 0.7, 0.5, 4.8),
        "browInnerUp": _hold(0.5, 0.8, 2.5, 0.9, 0.5, 4.8), "noseSneer": _hold(0.9, 0.7, 2.4, 0.7, 0.4, 4.8),
        "mouthFunnel": _hold(0.5, 0.8, 2.4, 0.7, 0.1, 4.8), "pitch": _hold(0.4, 1.1, 2.5, 1.3, -7.0, 4.8)}),
    "raise_brows": KeyframeMotion({
        "browInnerUp": _beats(0.3, 0.22, (0.8, 0.8, 0.15, 0.9, 0.9), 2.8),
        "browOuterUp": _beats(0.3, 0.22, (0.8, 0.8, 0.15, 0.9, 0.9), 2.8),
        "eyeWide": _beats(0.3, 0.22, (0.35, 0.35, 0.05, 0.4, 0.4), 2.8),
        "mouthSmile": _hold(0.5, 0.5, 1.6, 0.8, 0.3, 2.8), "pitch": _beats(0.3, 0.22, (-2, -2, 0, -2.5, -2.5), 2.8)}),
    "sleepy": KeyframeMotion({
        "eyeBlink": ((0, 0), (0.4, 0), (1.2, 0.55), (1.7, 0.35), (2.7, 1.0), (3.6, 1.0), (3.8, 0), (4.8, 0)),
        "pitch": ((0, 0), (0.6, 0), (1.6, 3.0), (2.0, 2.0), (3.5, 9.0), (3.85, -2.0), (4.4, 0), (4.8, 0)),
        "roll": _hold(1.0, 1.5, 3.5, 0.4, 3.0, 4.8), "jawOpen": _hold(2.2, 0.9, 3.5, 0.3, 0.1, 4.8),
        "browOuterUp": _hold(3.55, 0.2, 4.0, 0.5, 0.5, 4.8), "eyeWide": _hold(3.65, 0.2, 4.0, 0.5, 0.3, 4.8)}),
    "talk": KeyframeMotion(script=lambda s, rng: speech(TALKING, s, rng), idle=0.7),
    "sing": KeyframeMotion(script=lambda s, rng: speech(SINGING, s, rng), idle=0.7),
})
# fmt: on
