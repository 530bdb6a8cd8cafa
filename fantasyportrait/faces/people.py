"""The people of a clip while it is being tracked: where each was last, how each looks, the rows gathered so far."""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.geometry import box_of
from fantasyportrait.faces.identity import Appearance
from fantasyportrait.faces.landmarks import Crop

# Appearance distances (see `identity.Appearance.distance`).
SAME_LOOK = 0.3
_SAME_PLACE_LOOK = 0.45
_SUDDEN = 0.25
_SHORT_S = 0.5
# Mean way of the landmarks in one frame, in face sides: nobody takes another's place and expression so exactly.
_STILL = 0.05
# The look is the mean of about so many frames.
_MEMORY = 30


@dataclass(frozen=True)
class Sighting:
    """A face seen in one frame: landmarks (478, 3) in pixels, its look, and the box around it."""

    points: NDArray[np.float32]
    look: Appearance
    box: NDArray[np.float32]

    @classmethod
    def of(cls, pixels: NDArray[np.uint8], points: NDArray[np.float32]) -> "Sighting":
        """The sighting with these landmarks in an RGB frame."""
        return cls(points, Appearance.of(pixels, points), box_of(points))

    @property
    def centre(self) -> NDArray[np.float32]:
        """Middle of the box, (2,) pixels."""
        return np.asarray((self.box[:2] + self.box[2:]) / 2, np.float32)

    @property
    def side(self) -> float:
        """Longer side of the box in pixels."""
        return float(max(self.box[2] - self.box[0], self.box[3] - self.box[1]))


@dataclass(frozen=True)
class Row:
    """What is kept of a person in one frame.

    The frame's own time in rows, landmarks (478, 3), blendshapes (52,), mouth texture (48, 80, 3).
    """

    own_time: float
    landmarks: NDArray[np.float32]
    blendshapes: NDArray[np.float32]
    mouth: NDArray[np.uint8]


@dataclass
class Person:
    """Somebody followed through a clip; `rows` maps frame numbers to what was seen."""

    last: Sighting
    look: Appearance
    rows: dict[int, Row] = field(default_factory=dict)
    _seen: int = -1
    _strangeness: float = 0.0
    _velocity: NDArray[np.float32] = field(default_factory=lambda: np.zeros(2, np.float32))

    @classmethod
    def first_seen(cls, sighting: Sighting) -> "Person":
        """Somebody new; `see` then adds the first row."""
        return cls(sighting, sighting.look)

    def live(self, frame: int) -> bool:
        """True when the person was seen in the frame before this one."""
        return self._seen == frame - 1

    def crop(self) -> Crop:
        """Where to look for the face in the next frame: around the last landmarks, moved on a little."""
        crop = Crop.of_landmarks(self.last.points)
        return replace(crop, centre=crop.centre + 0.7 * self._velocity)

    def cost(self, frame: int, sighting: Sighting, rate: float, cut: bool) -> float:
        """How badly the sighting fits this person: infinite where it cannot be, else look plus distance.

        Somebody seen a moment ago may look a little different at the same place; after a long loss or a `cut` only
        the look counts, unless the landmarks stayed where they were: then only the light changed.
        """
        gap_s = (frame - self._seen) / rate
        reach = 0.4 + 2 * gap_s
        ahead = self.last.centre + self._velocity * min(frame - self._seen, 3)
        moved = float(np.hypot(*(sighting.centre - ahead))) / max(self.last.side, 1.0)
        grown = abs(float(np.log(max(sighting.side, 1.0) / max(self.last.side, 1.0))))
        away = max(moved, grown) / reach
        unlike = self.look.distance(sighting.look)
        if cut:
            fits = unlike <= SAME_LOOK or (self.live(frame) and self._still(sighting))
            return unlike if fits else float("inf")
        near = gap_s <= _SHORT_S and away <= 1
        limit = max(_SAME_PLACE_LOOK, self._strangeness + _SUDDEN) if near else SAME_LOOK
        return unlike + 0.3 * min(away, 1.5) if unlike <= limit else float("inf")

    def see(self, frame: int, sighting: Sighting, row: Row, learn: bool) -> None:
        """Add a row; the look is updated where `learn` (not while another face is close)."""
        self._strangeness = self.look.distance(sighting.look)
        if learn:
            self.look = self.look.blended(sighting.look, max(1 / (len(self.rows) + 1), 1 / _MEMORY))
        moved = sighting.centre - self.last.centre
        self._velocity = np.asarray(moved if self.live(frame) else moved * 0, np.float32)
        self.last = sighting
        self._keep(frame, row)

    def repeat(self, frame: int) -> None:
        """The same picture once more: the same row again."""
        if self.live(frame):
            self._keep(frame, self.rows[frame - 1])

    def _still(self, sighting: Sighting) -> bool:
        way = np.linalg.norm(sighting.points[:, :2] - self.last.points[:, :2], axis=1).mean()
        return float(way) < _STILL * self.last.side

    def _keep(self, frame: int, row: Row) -> None:
        self.rows[frame] = row
        self._seen = frame
