"""The contents of a motion file, and its rows at the rate of a video."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.errors import MediaError
from fantasyportrait.faces.mesh import CanonicalFace
from fantasyportrait.motion.blendshapes import BLENDSHAPE_NAMES, blendshape_indices
from fantasyportrait.motion.posed_face import CLOSED_SCORE, posed_landmarks
from fantasyportrait.schema.face import NUM_LANDMARKS, Track
from fantasyportrait.schema.timeline import frame_count, round_half_up

CURVES_SIDE = 512
"""Width and height in pixels of the frames that a file of curves is drawn in."""
_FACE_SHARE = 0.6
_CHUNK_ROWS = 1024
_BLINKS = list(blendshape_indices("eyeBlink"))
_WIDE = list(blendshape_indices("eyeWide"))
_JAW_OPEN, _MOUTH_CLOSE = BLENDSHAPE_NAMES.index("jawOpen"), BLENDSHAPE_NAMES.index("mouthClose")


@dataclass(frozen=True, eq=False)
class MotionFile:
    """One person's face through time, a row a sample.

    Attributes:
        path: the file.
        person: the person's number in the clip that it was exported from; 1 for curves.
        size: (width, height) of the frames of `landmarks` in pixels.
        rate: samples a second; the standard rate nearest to their mean where they are irregular.
        length_s: seconds, exact.
        times_s: float64 (N,), ascending from 0.
        blendshapes: float32 (N, 52), in MediaPipe's order; scores of a track, weights 0 to 1 of curves.
        valid: bool (N,), False where the row was filled.
        landmarks: float32 (N, 478, 3), pixels; None for curves, of which the landmarks are made.
        pose: float64 (N, 3) pitch, yaw, roll of curves in degrees; None with `landmarks`.
        messages: sentences about what the file lacks.
    """

    path: Path
    person: int
    size: tuple[int, int]
    rate: Fraction
    length_s: Fraction
    times_s: NDArray[np.float64]
    blendshapes: NDArray[np.float32]
    valid: NDArray[np.bool_]
    landmarks: NDArray[np.float32] | None = None
    pose: NDArray[np.float64] | None = None
    messages: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.times_s)

    def track(
        self, canonical: CanonicalFace, rate: Fraction, start_s: float, end_s: float | None, max_rows: int
    ) -> Track:
        """The rows from `start_s` to `end_s`, or to the end, interpolated to `rate` rows a second, at most `max_rows`.

        Raises MediaError for a start beyond the end.
        """
        start = Fraction(start_s)
        if start >= self.length_s:
            raise MediaError(
                "{path} lasts {length_s:.2f} s: a start at {start_s:.2f} s lies beyond its end",
                path=self.path,
                length_s=float(self.length_s),
                start_s=start_s,
            )
        rows = max(1, round_half_up((self.length_s - start) * rate))
        rows = min(rows, max_rows if end_s is None else frame_count(Fraction(end_s) - start, rate), max_rows)
        due = float(start) + np.arange(rows) / float(rate)
        after = np.clip(np.searchsorted(self.times_s, due - 1e-9), 0, len(self) - 1)
        before = np.clip(np.searchsorted(self.times_s, due + 1e-9, side="right") - 1, 0, len(self) - 1)
        step = self.times_s[after] - self.times_s[before]
        share = np.where(step > 0, np.clip((due - self.times_s[before]) / np.where(step > 0, step, 1), 0, 1), 0)
        blendshapes = _between(self.blendshapes, before, after, share)
        valid = self.valid[np.where(share < 0.5, before, after)]
        if self.landmarks is not None:
            landmarks = _between(self.landmarks, before, after, share)
            return Track(self.person, self.size, landmarks, blendshapes, valid, None)
        pose = np.zeros((rows, 3)) if self.pose is None else _between(self.pose, before, after, share)
        return _track_of_curves(self.person, blendshapes, pose.astype(np.float64), canonical, valid)


def _between(
    values: NDArray[np.floating], before: NDArray[np.int64], after: NDArray[np.int64], share: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Rows of `values` (N, ...), interpolated."""
    weights = share.reshape(-1, *[1] * (values.ndim - 1)).astype(values.dtype)
    first = values[before]
    return np.asarray(first + (values[after] - first) * weights, np.float32)


def _track_of_curves(
    person: int,
    weights: NDArray[np.float32],
    pose: NDArray[np.float64],
    canonical: CanonicalFace,
    valid: NDArray[np.bool_],
) -> Track:
    """The track of the canonical face that acts the weights (T, 52) and the pose (T, 3)."""
    acted = weights.astype(np.float64)
    acted[:, _WIDE] *= 1.0 - acted[:, _BLINKS]
    # The lips of a lowered jaw can be closed: no shape of the mesh does that, so the jaw is lowered less.
    acted[:, _JAW_OPEN] = np.maximum(acted[:, _JAW_OPEN] - acted[:, _MOUTH_CLOSE], 0.0)
    landmarks = np.empty((len(weights), NUM_LANDMARKS, 3), np.float32)
    for first in range(0, len(weights), _CHUNK_ROWS):
        part = slice(first, first + _CHUNK_ROWS)
        landmarks[part] = _in_pixels(posed_landmarks(acted[part], pose[part], canonical), canonical)
    scores = acted.astype(np.float32)
    scores[:, _BLINKS] *= np.float32(CLOSED_SCORE)
    return Track(person, (CURVES_SIDE, CURVES_SIDE), landmarks, scores, valid, None)


def _in_pixels(points: NDArray[np.float32], canonical: CanonicalFace) -> NDArray[np.float32]:
    """Points (..., 3) of the canonical face, in cm, as pixels of a frame with the face in its middle."""
    rest = canonical.points[:, :2]
    middle = np.append((rest.min(axis=0) + rest.max(axis=0)) / 2, 0.0)
    scale = _FACE_SHARE * CURVES_SIDE / float(np.ptp(rest[:, 1]))
    centre = np.array([CURVES_SIDE / 2, CURVES_SIDE / 2, 0.0])
    return np.asarray((points - middle) * scale + centre, np.float32)
