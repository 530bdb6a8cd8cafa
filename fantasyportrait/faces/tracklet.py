"""Tracklets of a clip: the last observation, the descriptor and the confirmation of each person."""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.geometry import bounding_box
from fantasyportrait.faces.descriptor import Descriptor, assign
from fantasyportrait.faces.landmarks import Crop

# Descriptor distances (see `identity.Descriptor.distance`).
MAX_DESCRIPTOR_DISTANCE = 0.3
_MAX_DISTANCE_NEARBY = 0.45
_SUDDEN = 0.25
_SHORT_S = 0.5
# Mean motion of the landmarks in one frame, in face sides, below which it is the same person: a second person never
# has the same place and expression so exactly.
_STILL = 0.05
# Cost of a new person: the largest `Tracklet.cost` of a face that did not change suddenly.
_NEW = 0.75
# The descriptor is the mean of about so many frames.
_MEMORY = 30


@dataclass(frozen=True)
class Observation:
    """A face seen in one frame: landmarks (478, 3) in pixels, its descriptor, and the box around it."""

    points: NDArray[np.float32]
    descriptor: Descriptor
    box: NDArray[np.float32]

    @classmethod
    def of(cls, pixels: NDArray[np.uint8], points: NDArray[np.float32]) -> "Observation":
        """The observation with these landmarks in an RGB frame."""
        return cls(points, Descriptor.of(pixels, points), bounding_box(points))

    @property
    def centre(self) -> NDArray[np.float32]:
        """Middle of the box, (2,) pixels."""
        return np.asarray((self.box[:2] + self.box[2:]) / 2, np.float32)

    @property
    def side(self) -> float:
        """Longer side of the box in pixels."""
        return float(max(self.box[2] - self.box[0], self.box[3] - self.box[1]))


@dataclass
class Tracklet:
    """A person tracked through a clip.

    Attributes:
        id: 0, 1, 2 ... in the order of first observations; readings are filed under it.
        last: the last observation.
        descriptor: mean of the descriptors so far.
        frame: number of the frame of the last observation.
        time_s: time of that frame.
        hits: how many observations there were.
        seen_s: how long they lasted together, each until the next frame.
        confirmed: True once the tracklet was seen for long enough to count (see `numbering`).
        seen_with: ids of tracklets that were seen in the same frame as this one.
        last_distance: how far the last observation was from `descriptor`.
        velocity: pixels (2,) that the face moved from the frame before the last observation's.
    """

    id: int
    last: Observation
    descriptor: Descriptor
    frame: int = -1
    time_s: float = 0.0
    hits: int = 0
    seen_s: float = 0.0
    confirmed: bool = False
    seen_with: set[int] = field(default_factory=set)
    last_distance: float = 0.0
    velocity: NDArray[np.float32] = field(default_factory=lambda: np.zeros(2, np.float32))

    def is_active(self, frame: int) -> bool:
        """Whether the tracklet was seen in the frame before this one."""
        return self.frame == frame - 1

    def predicted_crop(self) -> Crop:
        """Return the crop for the next frame: around the last landmarks, moved by the velocity."""
        crop = Crop.of_landmarks(self.last.points)
        return replace(crop, centre=crop.centre + 0.7 * self.velocity)

    def cost(self, frame: int, time_s: float, observation: Observation, cut: bool) -> float:
        """Return the assignment cost: descriptor distance plus position distance, infinite for an impossible pair.

        A tracklet seen a moment ago allows a larger descriptor distance nearby; after a long loss or a `cut` only the
        descriptor counts, unless the landmarks did not move: then only the light changed.
        """
        gap_s = time_s - self.time_s
        reach = 0.4 + 2 * gap_s
        ahead = self.last.centre + self.velocity * min(frame - self.frame, 3)
        moved = float(np.hypot(*(observation.centre - ahead))) / max(self.last.side, 1.0)
        grown = abs(float(np.log(max(observation.side, 1.0) / max(self.last.side, 1.0))))
        away = max(moved, grown) / reach
        distance = self.descriptor.distance(observation.descriptor)
        if cut:
            fits = distance <= MAX_DESCRIPTOR_DISTANCE or (self.is_active(frame) and self._is_static(observation))
            return distance if fits else float("inf")
        near = gap_s <= _SHORT_S and away <= 1
        limit = max(_MAX_DISTANCE_NEARBY, self.last_distance + _SUDDEN) if near else MAX_DESCRIPTOR_DISTANCE
        return distance + 0.3 * min(away, 1.5) if distance <= limit else float("inf")

    def update(
        self, frame: int, time_s: float, length_s: float, observation: Observation, update_descriptor: bool
    ) -> None:
        """Add an observation; `update_descriptor` is False while another face is close."""
        self.last_distance = self.descriptor.distance(observation.descriptor)
        if update_descriptor:
            self.descriptor = self.descriptor.blended(observation.descriptor, max(1 / (self.hits + 1), 1 / _MEMORY))
        moved = observation.centre - self.last.centre
        active = self.hits > 0 and self.is_active(frame)
        self.velocity = np.asarray(moved if active else moved * 0, np.float32)
        # A frame is shown until the next one: in a WebM of a slow webcam that is longer than its stated length.
        self.seen_s += time_s - self.time_s if active else length_s
        self.last, self.frame, self.time_s = observation, frame, time_s
        self.hits += 1

    def merge(self, other: "Tracklet") -> None:
        """Continue from the last observation of `other`, which is the same person."""
        if other.hits > self.hits:
            self.descriptor = other.descriptor
        self.last, self.frame, self.time_s = other.last, other.frame, other.time_s
        self.last_distance, self.velocity = other.last_distance, other.velocity
        self.hits += other.hits
        self.seen_s += other.seen_s
        self.seen_with |= other.seen_with

    def _is_static(self, observation: Observation) -> bool:
        way = np.linalg.norm(observation.points[:, :2] - self.last.points[:, :2], axis=1).mean()
        return float(way) < _STILL * self.last.side


def assign_people(costs: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Pairs (person, face) of least total cost, for costs (people, faces) of `Tracklet.cost`; other faces are new.

    A new person has a cost too. Without it, a third person of similar look who appears while another is out of the
    frame would take over the place of a person who did not move, only because this pairs one person more.
    """
    people, faces = costs.shape
    pairs = [pair for pair in assign(np.vstack([costs, np.full((faces, faces), _NEW)])) if pair[0] < people]
    # After a sudden change of light a possible face costs more than a new person, and is still the same person.
    rest = costs.copy()
    for person, face in pairs:
        rest[person], rest[:, face] = np.inf, np.inf
    return pairs + assign(rest)
