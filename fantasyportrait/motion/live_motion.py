"""The motion of a face before a camera, a row at a time: smoothed without looking ahead, measured from a neutral face
that is taken in the first moments."""

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.faces.live_tracker import LiveReading
from fantasyportrait.faces.mesh import CanonicalFace
from fantasyportrait.motion.from_track import expressiveness
from fantasyportrait.motion.neutral import relax_smile
from fantasyportrait.motion.smoothing import OneEuroFilter
from fantasyportrait.schema.face_motion import FaceMotion

CALIBRATION_S = 1.0
"""Seconds in which the neutral face is looked for."""
_LEAST_READINGS = 5
# Readings whose mouths give the driver's skin colour, so that it does not flicker.
_COLOUR_MOUTHS = 15
# A face that was not seen for so long is taken up again gradually.
_GAP_S, _EASE_S = 0.25, 0.3
# The smoothing is set for this many frames a second.
_FILTER_RATE = 25.0


class LiveMotion:
    """Turns readings of a camera into a `FaceMotion` of one row. Not thread-safe.

    The neutral face is the calmest one of the first second (`CALIBRATION_S`), its mouth shut and its smile relaxed as
    for a clip. Until then there is no motion. A face that comes back after a gap is blended in over 0.3 s.
    """

    def __init__(self, canonical: CanonicalFace, smoothing: float = 0.5) -> None:
        self._canonical, self._smoothing = canonical, smoothing
        self._filter: OneEuroFilter | None = None
        self._size = 1.0
        self._read_s = self._eased_s = float("-inf")
        self.recalibrate()

    def recalibrate(self) -> None:
        """Forget the neutral face, and take another one in the next second."""
        self._rows: list[tuple[float, NDArray[np.float32], LiveReading]] = []
        self._neutral: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None
        self._mouths = np.zeros((0, 0, 0, 3), np.uint8)
        self._held: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None
        self._shown: FaceMotion | None = None

    @property
    def calibrated(self) -> bool:
        """Whether the neutral face is known."""
        return self._neutral is not None

    @property
    def motion(self) -> FaceMotion | None:
        """The motion of the last reading, one row; None until the neutral face is known."""
        return self._shown

    def update(self, reading: LiveReading, at_s: float) -> None:
        """Add the reading of a frame, taken at `at_s` seconds."""
        gap_s = at_s - self._read_s
        self._read_s = at_s
        landmarks = self._smoothed(reading.landmarks, gap_s)
        if self._neutral is None:
            self._calibrate(landmarks, reading, at_s)
        if self._neutral is None:
            return
        if gap_s > _GAP_S or self._held is None:
            self._eased_s = at_s
            self._held = (
                self._neutral if self._shown is None else (self._shown.landmarks[0], self._shown.blendshapes[0])
            )
        share = np.float32(np.clip((at_s - self._eased_s) / _EASE_S, 0, 1))
        points, scores = (
            held + share * (now - held) for held, now in zip(self._held, (landmarks, reading.blendshapes), strict=True)
        )
        mouths = np.concatenate([self._mouths, reading.mouth[None]])
        last = np.array([len(mouths) - 1])
        self._shown = FaceMotion(*self._neutral, points[None], scores[None], mouths, last)

    def _smoothed(self, landmarks: NDArray[np.float32], gap_s: float) -> NDArray[np.float32]:
        if self._smoothing <= 0:
            return landmarks
        if self._filter is None or not 0 <= gap_s <= _GAP_S:
            self._size = float(np.ptp(landmarks[:, 0])) or 1.0
            self._filter = OneEuroFilter(landmarks, self._size, self._smoothing)
        else:
            self._filter.step(landmarks, max(gap_s * _FILTER_RATE, 0.1))
        return np.asarray(self._filter.place * self._size, np.float32)

    def _calibrate(self, landmarks: NDArray[np.float32], reading: LiveReading, at_s: float) -> None:
        """Collect a row, and take the calmest one as the neutral face when there are enough."""
        self._rows.append((at_s, landmarks, reading))
        if len(self._rows) < _LEAST_READINGS or at_s - self._rows[0][0] < CALIBRATION_S:
            return
        points = np.stack([row for _, row, _ in self._rows])
        scores = np.stack([each.blendshapes for _, _, each in self._rows])
        calmest = int(np.argmin(expressiveness(points, scores, self._canonical)))
        self._neutral = relax_smile(points[calmest], scores[calmest], self._canonical)
        chosen = np.linspace(0, len(self._rows) - 1, min(_COLOUR_MOUTHS, len(self._rows))).astype(int)
        self._mouths = np.stack([self._rows[index][2].mouth for index in chosen])
        self._rows = []
