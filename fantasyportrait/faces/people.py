"""The people of a clip while it is being tracked: where each was last, how each looks, since when each counts."""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.geometry import box_of
from fantasyportrait.faces.identity import Appearance, assign
from fantasyportrait.faces.landmarks import Crop

# Appearance distances (see `identity.Appearance.distance`).
SAME_LOOK = 0.3
_SAME_PLACE_LOOK = 0.45
_SUDDEN = 0.25
_SHORT_S = 0.5
# Mean way of the landmarks in one frame, in face sides: nobody takes another's place and expression so exactly.
_STILL = 0.05
# What a face costs that is a new person: the largest `Person.cost` of a face that did not change suddenly.
_NEW = 0.75
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


@dataclass
class Person:
    """Somebody followed through a clip.

    Attributes:
        id: 0, 1, 2 ... in the order of first sightings; readings are filed under it.
        last: the last sighting.
        look: mean of the looks so far.
        frame: number of the frame of the last sighting.
        time_s: time of that frame.
        readings: how many sightings there were.
        seen_s: how long they lasted together.
        confirmed: True once the person was seen for long enough to count (see `numbering`).
        together: ids of those who were seen in the same frame as this person.
        strangeness: how far the last sighting was from `look`.
        velocity: pixels (2,) that the face moved from the frame before the last sighting's.
    """

    id: int
    last: Sighting
    look: Appearance
    frame: int = -1
    time_s: float = 0.0
    readings: int = 0
    seen_s: float = 0.0
    confirmed: bool = False
    together: set[int] = field(default_factory=set)
    strangeness: float = 0.0
    velocity: NDArray[np.float32] = field(default_factory=lambda: np.zeros(2, np.float32))

    def live(self, frame: int) -> bool:
        """True when the person was seen in the frame before this one."""
        return self.frame == frame - 1

    def crop(self) -> Crop:
        """Where to look for the face in the next frame: around the last landmarks, moved on a little."""
        crop = Crop.of_landmarks(self.last.points)
        return replace(crop, centre=crop.centre + 0.7 * self.velocity)

    def cost(self, frame: int, time_s: float, sighting: Sighting, cut: bool) -> float:
        """How badly the sighting fits this person: infinite where it cannot be, else look plus distance.

        Somebody seen a moment ago may look a little different at the same place; after a long loss or a `cut` only
        the look counts, unless the landmarks stayed where they were: then only the light changed.
        """
        gap_s = time_s - self.time_s
        reach = 0.4 + 2 * gap_s
        ahead = self.last.centre + self.velocity * min(frame - self.frame, 3)
        moved = float(np.hypot(*(sighting.centre - ahead))) / max(self.last.side, 1.0)
        grown = abs(float(np.log(max(sighting.side, 1.0) / max(self.last.side, 1.0))))
        away = max(moved, grown) / reach
        unlike = self.look.distance(sighting.look)
        if cut:
            fits = unlike <= SAME_LOOK or (self.live(frame) and self._still(sighting))
            return unlike if fits else float("inf")
        near = gap_s <= _SHORT_S and away <= 1
        limit = max(_SAME_PLACE_LOOK, self.strangeness + _SUDDEN) if near else SAME_LOOK
        return unlike + 0.3 * min(away, 1.5) if unlike <= limit else float("inf")

    def see(self, frame: int, time_s: float, length_s: float, sighting: Sighting, learn: bool) -> None:
        """Take in a sighting; the look is updated where `learn` (not while another face is close)."""
        self.strangeness = self.look.distance(sighting.look)
        if learn:
            self.look = self.look.blended(sighting.look, max(1 / (self.readings + 1), 1 / _MEMORY))
        moved = sighting.centre - self.last.centre
        self.velocity = np.asarray(moved if self.live(frame) else moved * 0, np.float32)
        self.last, self.frame, self.time_s = sighting, frame, time_s
        self.readings += 1
        self.seen_s += length_s

    def take_over(self, other: "Person") -> None:
        """Go on where `other`, who turned out to be this person, was seen last."""
        if other.readings > self.readings:
            self.look = other.look
        self.last, self.frame, self.time_s = other.last, other.frame, other.time_s
        self.strangeness, self.velocity = other.strangeness, other.velocity
        self.readings += other.readings
        self.seen_s += other.seen_s
        self.together |= other.together

    def _still(self, sighting: Sighting) -> bool:
        way = np.linalg.norm(sighting.points[:, :2] - self.last.points[:, :2], axis=1).mean()
        return float(way) < _STILL * self.last.side


def assign_people(costs: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Pairs (person, face) of least total cost, for costs (people, faces) of `Person.cost`; other faces are new people.

    A new person has a cost too. Without it, a third person of similar look who appears while somebody is out of the
    frame would take over the place of a person who did not move, only because this pairs one person more.
    """
    people, faces = costs.shape
    pairs = [pair for pair in assign(np.vstack([costs, np.full((faces, faces), _NEW)])) if pair[0] < people]
    # After a sudden change of light a possible face costs more than a new person, and is still the same person.
    rest = costs.copy()
    for person, face in pairs:
        rest[person], rest[:, face] = np.inf, np.inf
    return pairs + assign(rest)
