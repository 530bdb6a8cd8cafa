"""Looks at one frame of a clip after another and follows the people in it."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.geometry import box_iou
from fantasyportrait.faces.detect import Detection, Detector
from fantasyportrait.faces.landmarks import Crop
from fantasyportrait.faces.models import FaceModels
from fantasyportrait.faces.mouths import mouth_patch
from fantasyportrait.faces.numbering import Piece
from fantasyportrait.faces.people import SAME_LOOK, Person, Sighting, assign_people
from fantasyportrait.faces.readings import Reading
from fantasyportrait.faces.search_times import Search
from fantasyportrait.faces.watch_state import WatchState

_PRESENT = 0.5
_SMALLEST = 16
_CUT = 24.0
# So many people are remembered; somebody who comes back after more others were seen is somebody new.
_REMEMBERED = 64
# Where as many people are followed as may be, a face takes another's place when its box is so much longer.
_MUCH_LARGER = 1.5


@dataclass(frozen=True)
class Look:
    """What one frame showed: the readings of the people followed, and how many more were left out."""

    readings: list[Reading]
    left_out: int


class Watch:
    """Follows at most `most` people at once; each counts when seen for `counts_after_s` seconds together."""

    def __init__(self, models: FaceModels, most: int, counts_after_s: float, state: WatchState | None = None) -> None:
        self.state = state or WatchState()
        self._most, self._counts_after_s = most, counts_after_s
        self._size = (0, 0)
        self._left_out = 0
        self._net = models.landmark_net()
        self._quick = models.frame_detector()
        self._thorough = models.photo_detector()
        self._models = models
        self._newcomers: Detector | None = None

    def take(self, pixels: NDArray[np.uint8], time_s: float, length_s: float) -> Look:
        """Look at the next upright RGB frame (H, W, 3), which shows from `time_s` for `length_s` seconds."""
        state, self._left_out = self.state, 0
        frame, state.frames = state.frames, state.frames + 1
        self._size = (pixels.shape[1], pixels.shape[0])
        cut = self._is_cut(pixels)
        seen = [] if cut else self._follow(frame, time_s, pixels)
        search = state.searches.search(frame, time_s, len(seen), cut)
        if search is not None:
            seen = self._search(pixels, seen, search)
        state.searches.found(time_s, len(seen))
        return Look(self._match(frame, (time_s, length_s), pixels, seen, cut), self._left_out)

    def _follow(self, frame: int, time_s: float, pixels: NDArray[np.uint8]) -> list[Sighting]:
        """Those seen in the last frame, read around the place where each should be now."""
        found: list[tuple[float, Sighting]] = []
        for person in self.state.people:
            sighting = self._read(pixels, person.crop(), passes=1) if person.live(frame) else None
            if sighting is not None:
                found.append((person.cost(frame, time_s, sighting, cut=False), sighting))
        # Two people on one face: the one it fits better keeps it.
        found.sort(key=lambda pair: pair[0])
        return _apart([sighting for _, sighting in found], 0.6)

    def _search(self, pixels: NDArray[np.uint8], known: list[Sighting], search: Search) -> list[Sighting]:
        """Those known, and the largest of the faces that were not followed: somebody new, or somebody back."""
        fresh = [
            one
            for one in self._detector(search).detect(pixels)
            if all(box_iou(one.box, old.box) < 0.3 for old in known)
        ]
        fresh.sort(key=_side, reverse=True)
        if fresh and len(known) >= self._most:
            smallest = min(known, key=lambda sighting: sighting.side)
            if _side(fresh[0]) > _MUCH_LARGER * smallest.side:
                known = [sighting for sighting in known if sighting is not smallest]
        room = self._most - len(known)
        self._left_out = len(fresh) - min(room, len(fresh))
        found = [self._read(pixels, Crop.of_detection(one), passes=3) for one in fresh[:room]]
        return _apart([*known, *(one for one in found if one is not None)], 0.4)

    def _detector(self, search: Search) -> Detector:
        if search == "newcomers" and self._newcomers is None:
            self._newcomers = self._models.newcomer_detector(max(self._size))
        found = {"quick": self._quick, "thorough": self._thorough, "newcomers": self._newcomers or self._thorough}
        return found[search]

    def _read(self, pixels: NDArray[np.uint8], crop: Crop, passes: int) -> Sighting | None:
        """The face in the crop, looked at again around what was found; None where there is none."""
        for _ in range(passes):
            reading = self._net.read(pixels, crop)
            if not np.isfinite(reading.points).all() or not reading.presence >= _PRESENT / 10:
                return None
            crop = Crop.of_landmarks(reading.points)
        if reading.presence < _PRESENT:
            return None
        sighting = Sighting.of(pixels, reading.points)
        inside = (sighting.centre >= 0).all() and (sighting.centre < self._size).all()
        return sighting if inside and sighting.side >= _SMALLEST else None

    def _match(
        self, frame: int, shown: tuple[float, float], pixels: NDArray[np.uint8], seen: list[Sighting], cut: bool
    ) -> list[Reading]:
        """Assign each face to the person it fits; one that fits no person becomes a new one."""
        state, (time_s, length_s) = self.state, shown
        costs = np.array(
            [[person.cost(frame, time_s, sighting, cut) for sighting in seen] for person in state.people]
        ).reshape(len(state.people), len(seen))
        owners = {column: state.people[row] for row, column in assign_people(costs)}
        readings: list[Reading] = []
        present: list[Person] = []
        for index, sighting in enumerate(seen):
            scores = self._net.blendshapes(sighting.points)
            if not np.isfinite(scores).all():
                continue
            person = owners.get(index) or self._new(sighting)
            alone = all(box_iou(sighting.box, other.box) < 0.05 for other in seen if other is not sighting)
            person.see(frame, time_s, length_s, sighting, learn=alone)
            present.append(person)
            mouth = mouth_patch(pixels, sighting.points)
            readings.append(Reading(frame, person.id, sighting.points, scores, mouth))
        for person in present:
            person.together |= {other.id for other in present if other is not person}
        for person in present:
            self._confirm(person, time_s)
        return readings

    def _new(self, sighting: Sighting) -> Person:
        state = self.state
        if len(state.people) >= _REMEMBERED:
            state.people.remove(min(state.people, key=lambda person: (person.confirmed, person.frame)))
        person = Person(state.named, sighting, sighting.look)
        # A piece that counts never: `_confirm` says since when it does.
        state.pieces[person.id] = Piece(float(sighting.centre[0]), float("inf"), person.id)
        state.named += 1
        state.people.append(person)
        return person

    def _confirm(self, person: Person, time_s: float) -> None:
        """From here on the person counts, if seen for long enough: as somebody new, or as part of somebody known."""
        state = self.state
        if person.confirmed or person.seen_s < self._counts_after_s:
            return
        person.confirmed = True
        x = state.pieces[person.id].x
        known = [other for other in state.people if other.confirmed and other is not person]
        alike = [
            (other.look.distance(person.look), other)
            for other in known
            if other.id not in person.together and person.id not in other.together
        ]
        distance, same = min(alike, key=lambda pair: pair[0], default=(float("inf"), person))
        if distance < SAME_LOOK:
            state.pieces[person.id] = Piece(x, time_s, same.id)
            same.take_over(person)
            state.people.remove(person)
        else:
            state.pieces[person.id] = Piece(x, time_s, person.id)

    def _is_cut(self, pixels: NDArray[np.uint8]) -> bool:
        """True where nearly the whole picture changed since the last frame: another shot, or a flash."""
        small = cv2.resize(pixels, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
        last, self.state.thumbnail = self.state.thumbnail, small
        return last is not None and float(np.abs(small - last).mean()) > _CUT


def _side(detection: Detection) -> float:
    left, top, right, bottom = detection.box
    return float(max(right - left, bottom - top))


def _apart(sightings: list[Sighting], overlap: float) -> list[Sighting]:
    """The sightings in their order, without those that lie on an earlier one."""
    kept: list[Sighting] = []
    for sighting in sightings:
        if all(box_iou(sighting.box, other.box) <= overlap for other in kept):
            kept.append(sighting)
    return kept
