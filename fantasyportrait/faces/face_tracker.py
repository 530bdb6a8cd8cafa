"""Tracking of the people in a clip, frame by frame."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.geometry import box_iou
from fantasyportrait.faces.detect import Detection, Detector
from fantasyportrait.faces.detection_schedule import Search
from fantasyportrait.faces.face_models import FaceModels
from fantasyportrait.faces.landmarks import Crop
from fantasyportrait.faces.mouth_texture import mouth_patch
from fantasyportrait.faces.numbering import TrackletIdentity
from fantasyportrait.faces.segments import TrackedFace
from fantasyportrait.faces.tracker_state import TrackerState
from fantasyportrait.faces.tracklet import MAX_DESCRIPTOR_DISTANCE, Observation, Tracklet, assign_people

_SMALLEST = 16
_SHOT_CHANGE = 24.0
# Tracklets that are kept; a person who comes back after so many others counts as a new person.
_MAX_TRACKLETS = 64
# When the maximum of people is tracked, a new face replaces the smallest one only if its box is longer by this factor.
_MUCH_LARGER = 1.5


@dataclass(frozen=True)
class FrameResult:
    """Result of one frame: the tracked faces, and the number of faces that were left out."""

    tracked_faces: list[TrackedFace]
    left_out: int


class FaceTracker:
    """Tracks at most `max_people` people at once; each is confirmed after `confirm_after_s` seconds of observations."""

    def __init__(
        self, models: FaceModels, max_people: int, confirm_after_s: float, state: TrackerState | None = None
    ) -> None:
        self.state = state or TrackerState()
        self._max_people, self._confirm_after_s = max_people, confirm_after_s
        self._size = (0, 0)
        self._left_out = 0
        self._net = models.landmark_net()
        self._quick = models.frame_detector()
        self._thorough = models.photo_detector()
        self._models = models
        self._newcomers: Detector | None = None

    def update(self, pixels: NDArray[np.uint8], time_s: float, length_s: float) -> FrameResult:
        """Track the people in the next upright RGB frame (H, W, 3), shown from `time_s` for `length_s` seconds."""
        state, self._left_out = self.state, 0
        frame, state.frames = state.frames, state.frames + 1
        self._size = (pixels.shape[1], pixels.shape[0])
        cut = self._is_shot_change(pixels)
        seen = [] if cut else self._track_known(frame, time_s, pixels)
        search = state.schedule.search(frame, time_s, len(seen), cut)
        if search is not None:
            seen = self._search(pixels, seen, search)
        state.schedule.found(time_s, len(seen))
        return FrameResult(self._match(frame, (time_s, length_s), pixels, seen, cut), self._left_out)

    def _track_known(self, frame: int, time_s: float, pixels: NDArray[np.uint8]) -> list[Observation]:
        """Observe the people of the last frame again, each in the crop that its tracklet predicts."""
        found: list[tuple[float, Observation]] = []
        for tracklet in self.state.tracklets:
            observation = self._read(pixels, tracklet.predicted_crop(), passes=1) if tracklet.is_active(frame) else None
            if observation is not None:
                found.append((tracklet.cost(frame, time_s, observation, cut=False), observation))
        # Two tracklets on one face: the one it fits better keeps it.
        found.sort(key=lambda pair: pair[0])
        return _without_overlaps([observation for _, observation in found], 0.6)

    def _search(self, pixels: NDArray[np.uint8], known: list[Observation], search: Search) -> list[Observation]:
        """Return `known` and, up to the maximum of people, the largest faces that were not tracked."""
        fresh = [
            one
            for one in self._detector(search).detect(pixels)
            if all(box_iou(one.box, old.box) < 0.3 for old in known)
        ]
        fresh.sort(key=_side, reverse=True)
        if fresh and len(known) >= self._max_people:
            smallest = min(known, key=lambda observation: observation.side)
            if _side(fresh[0]) > _MUCH_LARGER * smallest.side:
                known = [observation for observation in known if observation is not smallest]
        room = self._max_people - len(known)
        self._left_out = len(fresh) - min(room, len(fresh))
        found = [self._read(pixels, Crop.of_detection(one), passes=3) for one in fresh[:room]]
        return _without_overlaps([*known, *(one for one in found if one is not None)], 0.4)

    def _detector(self, search: Search) -> Detector:
        if search == "newcomers" and self._newcomers is None:
            self._newcomers = self._models.newcomer_detector(max(self._size))
        found = {"quick": self._quick, "thorough": self._thorough, "newcomers": self._newcomers or self._thorough}
        return found[search]

    def _read(self, pixels: NDArray[np.uint8], crop: Crop, passes: int) -> Observation | None:
        """Fit landmarks in the crop, then again in the crop around them; None where there is no face."""
        reading = self._net.fit(pixels, crop, passes)
        if reading is None:
            return None
        observation = Observation.of(pixels, reading.points)
        inside = (observation.centre >= 0).all() and (observation.centre < self._size).all()
        return observation if inside and observation.side >= _SMALLEST else None

    def _match(
        self, frame: int, shown: tuple[float, float], pixels: NDArray[np.uint8], seen: list[Observation], cut: bool
    ) -> list[TrackedFace]:
        """Assign each face to the tracklet it fits; one that fits no tracklet becomes a new one."""
        state, (time_s, length_s) = self.state, shown
        costs = np.array(
            [[tracklet.cost(frame, time_s, observation, cut) for observation in seen] for tracklet in state.tracklets]
        ).reshape(len(state.tracklets), len(seen))
        owners = {column: state.tracklets[row] for row, column in assign_people(costs)}
        tracked_faces: list[TrackedFace] = []
        present: list[Tracklet] = []
        for index, observation in enumerate(seen):
            scores = self._net.blendshapes(observation.points)
            if not np.isfinite(scores).all():
                continue
            tracklet = owners.get(index) or self._new(observation)
            alone = all(box_iou(observation.box, other.box) < 0.05 for other in seen if other is not observation)
            tracklet.update(frame, time_s, length_s, observation, update_descriptor=alone)
            present.append(tracklet)
            mouth = mouth_patch(pixels, observation.points)
            tracked_faces.append(TrackedFace(frame, tracklet.id, observation.points, scores, mouth))
        for tracklet in present:
            tracklet.seen_with |= {other.id for other in present if other is not tracklet}
        for tracklet in present:
            self._confirm(tracklet, time_s)
        return tracked_faces

    def _new(self, observation: Observation) -> Tracklet:
        state = self.state
        if len(state.tracklets) >= _MAX_TRACKLETS:
            state.tracklets.remove(min(state.tracklets, key=lambda tracklet: (tracklet.confirmed, tracklet.frame)))
        tracklet = Tracklet(state.next_id, observation, observation.descriptor)
        # Not confirmed yet: `_confirm` sets the time from which it counts.
        state.identities[tracklet.id] = TrackletIdentity(float(observation.centre[0]), float("inf"), tracklet.id)
        state.next_id += 1
        state.tracklets.append(tracklet)
        return tracklet

    def _confirm(self, tracklet: Tracklet, time_s: float) -> None:
        """Confirm the tracklet if it was seen for long enough: as a new person, or as one already known."""
        state = self.state
        if tracklet.confirmed or tracklet.seen_s < self._confirm_after_s:
            return
        tracklet.confirmed = True
        x = state.identities[tracklet.id].x
        known = [other for other in state.tracklets if other.confirmed and other is not tracklet]
        alike = [
            (other.descriptor.distance(tracklet.descriptor), other)
            for other in known
            if other.id not in tracklet.seen_with and tracklet.id not in other.seen_with
        ]
        distance, same = min(alike, key=lambda pair: pair[0], default=(float("inf"), tracklet))
        if distance < MAX_DESCRIPTOR_DISTANCE:
            state.identities[tracklet.id] = TrackletIdentity(x, time_s, same.id)
            same.merge(tracklet)
            state.tracklets.remove(tracklet)
        else:
            state.identities[tracklet.id] = TrackletIdentity(x, time_s, tracklet.id)

    def _is_shot_change(self, pixels: NDArray[np.uint8]) -> bool:
        """Whether nearly the whole picture changed since the last frame: another shot, or a flash."""
        small = cv2.resize(pixels, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
        last, self.state.thumbnail = self.state.thumbnail, small
        return last is not None and float(np.abs(small - last).mean()) > _SHOT_CHANGE


def _side(detection: Detection) -> float:
    left, top, right, bottom = detection.box
    return float(max(right - left, bottom - top))


def _without_overlaps(observations: list[Observation], overlap: float) -> list[Observation]:
    """Return the observations in their order, without those that overlap an earlier one."""
    kept: list[Observation] = []
    for observation in observations:
        if all(box_iou(observation.box, other.box) <= overlap for other in kept):
            kept.append(observation)
    return kept
