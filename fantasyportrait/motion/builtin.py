"""Built-in motions: an act over a natural idle, as landmarks and blendshapes of the canonical face.

Everything is a function of time within the duration that ends as it begins, so a motion repeats without a seam, and
the same seconds look the same at every frame rate.
"""

import zlib
from fractions import Fraction
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.errors import RequestError
from fantasyportrait.core.suggest import did_you_mean
from fantasyportrait.faces.mesh import CanonicalFace
from fantasyportrait.motion.blendshapes import BLENDSHAPE_NAMES, blendshape_indices
from fantasyportrait.motion.curves import blinks, drift, eased, glances
from fantasyportrait.motion.keyframe_motions import GAZE, KEYFRAME_MOTIONS, POSE, KeyframeMotion
from fantasyportrait.motion.posed_face import CLOSED_SCORE, posed_landmarks
from fantasyportrait.schema.builtin_motions import BUILTIN_MOTIONS
from fantasyportrait.schema.face_motion import FaceMotion

Floats = NDArray[np.float64]
Controls = dict[str, Floats]

BREATH_HZ = 0.27
# Idle sway: amplitude and speed (Hz) of each part of the pose.
SWAY = MappingProxyType({
    "pitch": (0.8, 0.3), "yaw": (1.3, 0.22), "roll": (0.8, 0.18), "x": (0.12, 0.2), "y": (0.06, 0.25),
})  # fmt: skip


def builtin_motion(name: str, frames: int, rate: Fraction, canonical: CanonicalFace) -> FaceMotion:
    """A built-in motion of `frames` frames at `rate` frames a second, with landmarks in cm of the canonical face.

    Cycles are stretched so that a whole number of them fits; what is too short for one is acted smaller, not faster.
    The head turns about its neck, 0.35 face heights below and half a face width behind its middle.
    Raises RequestError for an unknown name, no frames, no rate.
    """
    if name not in KEYFRAME_MOTIONS:
        hint = did_you_mean(name, BUILTIN_MOTIONS)
        raise RequestError(
            "there is no built-in motion {name!r}{hint}: choose one of {names}",
            name=name,
            hint=hint,
            names=", ".join(BUILTIN_MOTIONS),
        )
    if frames < 1 or rate <= 0:
        raise RequestError(
            "a motion of {frames} frames at {rate} a second is empty: ask for at least one frame",
            frames=frames,
            rate=rate,
        )
    duration = float(frames / rate)
    times = np.arange(frames) / float(rate)
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    controls = _idle(times, duration, KEYFRAME_MOTIONS[name], rng)
    for control, curve in _act(times, duration, KEYFRAME_MOTIONS[name], rng).items():
        controls[control] = controls.get(control, 0.0) + curve
    weights = _weights(controls, frames)
    scores = weights.astype(np.float32)
    scores[:, blendshape_indices("eyeBlink")] *= CLOSED_SCORE
    return FaceMotion(
        neutral=canonical.points,
        neutral_blendshapes=np.zeros(len(BLENDSHAPE_NAMES), np.float32),
        landmarks=_landmarks(weights, controls, canonical),
        blendshapes=scores,
    )


def _idle(times: Floats, duration: float, act: KeyframeMotion, rng: np.random.Generator) -> Controls:
    """Breath, sway, glances, and blinks where the act has none of its own."""
    controls: Controls = {
        part: size * act.idle * drift(times, duration, speed, rng) for part, (size, speed) in SWAY.items()
    }
    wanted = BREATH_HZ * duration
    turns = max(1, round(wanted))
    breath = min(1.0, wanted / turns) * (1.0 - np.cos(2.0 * np.pi * turns * times / duration)) / 2.0
    controls["pitch"] -= 0.5 * breath
    controls["y"] -= 0.08 * breath
    controls["near"] = 0.006 * breath
    controls["gazeX"] = 0.12 * glances(times, duration, rng)
    controls["gazeY"] = 0.07 * glances(times, duration, rng)
    if not any(control.startswith("eyeBlink") for control in act.keys):
        controls["eyeBlink"] = blinks(times, duration, rng)
    return controls


def _act(times: Floats, duration: float, act: KeyframeMotion, rng: np.random.Generator) -> Controls:
    """The act's own controls: whole cycles, each a little different, or one script."""
    if act.script is not None:
        return {name: eased(times, keys) for name, keys in act.script(duration, rng).items()}
    period = act.period_s
    if not period:
        return {}
    cycles = max(1, int(duration / period + 0.4))
    place = times * cycles / duration
    pace = duration / cycles / period
    cycle = np.floor(place).astype(np.int64) % cycles
    controls = {}
    for name, keys in act.keys.items():
        blink = name.startswith("eyeBlink")  # may be quicker, but must close
        size = min(1.0, pace / (0.4 if blink else 0.8))
        vary = 1.0 if blink else rng.uniform(0.88, 1.06, cycles)[cycle]
        controls[name] = size * vary * eased((place % 1.0) * period, keys)
    return controls


def _weights(controls: Controls, frames: int) -> Floats:
    """Blendshapes (T, 52) within 0 to 1; the gaze is divided among its eight."""
    weights = np.zeros((frames, len(BLENDSHAPE_NAMES)))
    for name, curve in controls.items():
        if name not in POSE and name not in GAZE:
            weights[:, blendshape_indices(name)] += curve[:, None]
    x, y = controls["gazeX"], controls["gazeY"]
    for name, curve in {
        "eyeLookOutLeft": x, "eyeLookInRight": x, "eyeLookInLeft": -x, "eyeLookOutRight": -x,
        "eyeLookDown": y, "eyeLookUp": -y,
    }.items():  # fmt: skip
        weights[:, blendshape_indices(name)] += curve[:, None]
    weights = np.clip(weights, 0.0, 1.0)
    weights[:, blendshape_indices("eyeWide")] *= 1.0 - weights[:, blendshape_indices("eyeBlink")]
    return weights


def _landmarks(weights: Floats, controls: Controls, canonical: CanonicalFace) -> NDArray[np.float32]:
    """Points (T, 478, 3) in cm: the weighted shapes with the head's pose."""
    pose = {part: controls.get(part, np.zeros(len(weights))) for part in POSE}
    angles = np.stack([pose["pitch"], pose["yaw"], pose["roll"]], axis=1)
    shift = np.stack([pose["x"], pose["y"], np.zeros(len(weights))], axis=1)
    return posed_landmarks(weights, angles, canonical, shift, 1.0 + pose["near"])
