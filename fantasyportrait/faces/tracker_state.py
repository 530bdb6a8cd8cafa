"""The tracker's state after a frame: with it another tracker continues exactly where this one stopped."""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.geometry import bounding_box
from fantasyportrait.faces.descriptor import Descriptor
from fantasyportrait.faces.detection_schedule import DetectionSchedule
from fantasyportrait.faces.numbering import TrackletIdentity
from fantasyportrait.faces.tracklet import Observation, Tracklet

Arrays = dict[str, NDArray[Any]]


@dataclass
class TrackerState:
    """The tracker's state after a frame.

    Attributes:
        frames: how many frames were looked at.
        tracklets: of people who may be seen again.
        identities: input of the numbering, by tracklet id.
        schedule: when to search next.
        thumbnail: the last frame, float32 (32, 32, 3); None before the first.
        next_id: how many tracklets got an id so far.
    """

    frames: int = 0
    tracklets: list[Tracklet] = field(default_factory=list)
    identities: dict[int, TrackletIdentity] = field(default_factory=dict)
    schedule: DetectionSchedule = field(default_factory=DetectionSchedule)
    thumbnail: NDArray[np.float32] | None = None
    next_id: int = 0


def pack_state(state: TrackerState) -> tuple[dict[str, Any], Arrays]:
    """Return the state as JSON values and arrays by name."""
    tracklets = [
        {
            "id": tracklet.id,
            "frame": tracklet.frame,
            "time_s": tracklet.time_s,
            "hits": tracklet.hits,
            "seen_s": tracklet.seen_s,
            "confirmed": tracklet.confirmed,
            "seen_with": sorted(tracklet.seen_with),
            "last_distance": tracklet.last_distance,
        }
        for tracklet in state.tracklets
    ]
    identities = [
        [own, identity.x, identity.confirmed_s, identity.person] for own, identity in state.identities.items()
    ]
    values = {
        "frames": state.frames,
        "next_id": state.next_id,
        "tracklets": tracklets,
        "identities": identities,
        "schedule": asdict(state.schedule),
    }
    arrays = {
        "thumbnail": np.zeros((0,), np.float32) if state.thumbnail is None else state.thumbnail,
        "points": _stacked([tracklet.last.points for tracklet in state.tracklets]),
        "last_descriptors": _stacked([tracklet.last.descriptor.histograms for tracklet in state.tracklets]),
        "descriptors": _stacked([tracklet.descriptor.histograms for tracklet in state.tracklets]),
        "velocities": _stacked([tracklet.velocity for tracklet in state.tracklets]),
    }
    return values, arrays


def unpack_state(values: dict[str, Any], arrays: Arrays) -> TrackerState:
    """Restore a packed state; raises KeyError, TypeError or ValueError where it is damaged."""
    tracklets = []
    for row, kept in enumerate(values["tracklets"]):
        points = arrays["points"][row]
        observation = Observation(points, Descriptor(arrays["last_descriptors"][row]), bounding_box(points))
        fields = {**kept, "seen_with": set(kept["seen_with"]), "velocity": arrays["velocities"][row]}
        tracklets.append(Tracklet(last=observation, descriptor=Descriptor(arrays["descriptors"][row]), **fields))
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise ValueError("a state must be finite")
    return TrackerState(
        frames=int(values["frames"]),
        tracklets=tracklets,
        identities={
            int(own): TrackletIdentity(x, confirmed_s, tracklet)
            for own, x, confirmed_s, tracklet in values["identities"]
        },
        schedule=DetectionSchedule(**values["schedule"]),
        thumbnail=arrays["thumbnail"] if arrays["thumbnail"].size else None,
        next_id=int(values["next_id"]),
    )


def _stacked(arrays: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    return np.stack(arrays) if arrays else np.zeros((0,), np.float32)
