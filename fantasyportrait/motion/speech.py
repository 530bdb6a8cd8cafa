"""Speech without words: syllables in phrases with pauses, stress shown by head and brows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fantasyportrait.motion.curves import Keyframe

Viseme = Mapping[str, float]

VOWELS: tuple[Viseme, ...] = (
    {"jawOpen": 0.42, "mouthLowerDown": 0.25, "mouthUpperUp": 0.1},
    {"jawOpen": 0.25, "mouthStretch": 0.4, "mouthUpperUp": 0.2, "mouthLowerDown": 0.2},
    {"jawOpen": 0.12, "mouthStretch": 0.55, "mouthSmile": 0.1, "mouthLowerDown": 0.2},
    {"jawOpen": 0.32, "mouthFunnel": 0.55, "mouthPucker": 0.1},
    {"jawOpen": 0.14, "mouthPucker": 0.55, "mouthFunnel": 0.25},
)
# Light (d, n, l), rounded (w, sh), lip on teeth (f, v), closed lips (m, b, p).
CONSONANTS: tuple[Viseme, ...] = (
    {"jawOpen": 0.1, "mouthStretch": 0.1},
    {"jawOpen": 0.08, "mouthPucker": 0.35, "mouthFunnel": 0.3},
    {"jawOpen": 0.03, "mouthUpperUp": 0.2, "mouthPress": 0.1},
    {"mouthPress": 0.55},
)
SHARES = (0.5, 0.15, 0.15, 0.2)


@dataclass(frozen=True)
class SpeechStyle:
    """The timing of syllables; pairs are ranges, times in seconds.

    Attributes:
        vowel: how long the mouth takes to a vowel and away from it.
        hold: how long a vowel stays.
        syllables: in a phrase.
        pause: between phrases.
        size: factor on the openings of the mouth.
        nod, turn: degrees of the head's nods on stress, and of its turn for a phrase.
    """

    vowel: tuple[float, float]
    hold: tuple[float, float]
    syllables: tuple[int, int]
    pause: tuple[float, float]
    size: float
    nod: float
    turn: float


TALKING = SpeechStyle((0.09, 0.13), (0.0, 0.05), (5, 11), (0.25, 0.6), 0.85, 3.5, 4.0)
SINGING = SpeechStyle((0.18, 0.26), (0.2, 0.8), (3, 5), (0.35, 0.6), 1.35, 2.5, 6.0)


def speech(style: SpeechStyle, duration: float, rng: np.random.Generator) -> dict[str, list[Keyframe]]:
    """Keyframes of every control for `duration` seconds, at rest at both ends; what must be squeezed in is made
    smaller."""
    mouths: list[tuple[float, Viseme]] = [(0.0, {}), (0.15, {})]
    gestures: list[tuple[float, Viseme]] = [(0.0, {})]
    now = 0.15
    while now < duration - 0.3 or len(mouths) < 3:
        turn = {"yaw": rng.normal() * style.turn, "roll": rng.normal() * style.turn * 0.5}
        gestures.append((now + 0.3, turn))
        stressed = rng.integers(0, 3)
        for place in range(rng.integers(*style.syllables)):
            if place and now > duration - 0.6:
                break
            stress = place % 3 == stressed
            step = rng.uniform(*style.vowel)
            force = style.size * rng.uniform(0.7, 1.0) * (1.2 if stress else 0.85)
            mouths.append((now + step, CONSONANTS[rng.choice(len(CONSONANTS), p=SHARES)]))
            vowel = {name: min(0.9, force * value) for name, value in VOWELS[rng.integers(len(VOWELS))].items()}
            now += 2.0 * step
            mouths.append((now, vowel))
            now += rng.uniform(*style.hold)
            mouths.append((now, {name: 0.9 * value for name, value in vowel.items()}))
            if stress and now > gestures[-1][0] + 0.25:
                beat = {"pitch": rng.uniform(0.5, 1.0) * style.nod, "browOuterUp": 0.35, "browInnerUp": 0.3}
                lift = rng.uniform(0.0, 1.0)
                gestures.append((now, turn | {name: value * lift for name, value in beat.items()}))
                gestures.append((now + 0.3, turn))
        now += 0.15
        mouths.append((now, {}))
        now += rng.uniform(*style.pause)
        mouths.append((now, {}))
    end = max(now, gestures[-1][0] + 0.4)
    scale = duration / end
    return _keys([*mouths, (end, {})], scale) | _keys([*gestures, (end, {})], scale)


def _keys(poses: Sequence[tuple[float, Viseme]], scale: float) -> dict[str, list[Keyframe]]:
    """Keyframes of each control through a row of poses, times stretched by `scale`; what a pose does not name is 0
    there."""
    names = sorted({name for _, pose in poses for name in pose})
    size = min(1.0, scale)
    return {name: [(at * scale, size * pose.get(name, 0.0)) for at, pose in poses] for name in names}
