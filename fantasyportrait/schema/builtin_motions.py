"""The names of the built-in motions; their keyframes are in `motion.keyframe_motions`."""

from collections.abc import Mapping
from types import MappingProxyType

BUILTIN_MOTIONS: Mapping[str, str] = MappingProxyType(
    {
        "idle": "breathes, blinks and lets the gaze wander",
        "nod": "nods yes",
        "shake": "shakes the head for no",
        "smile": "breaks into a warm smile",
        "laugh": "laughs out loud",
        "wink": "winks with the left eye",
        "blink": "blinks once, then twice",
        "surprise": "starts with raised brows, wide eyes and a dropped jaw, then relaxes",
        "frown": "frowns, brows drawn together",
        "sad": "looks down, inner brows raised, corners of the mouth low",
        "look_around": "looks to one side, to the other, and up",
        "kiss": "purses the lips and blows a kiss",
        "think": "looks up and aside, lips pressed, and ponders",
        "yawn": "yawns with the eyes closed",
        "raise_brows": "raises the brows twice",
        "sleepy": "nods off and wakes with a start",
        "talk": "talks, with pauses and stressed words",
        "sing": "sings long vowels, swaying",
    }
)
"""A description of each motion, by its name."""
