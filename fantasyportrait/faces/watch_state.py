"""All that the tracker knows after a frame: with it another one goes on exactly where this one stopped."""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.geometry import box_of
from fantasyportrait.faces.identity import Appearance
from fantasyportrait.faces.numbering import Piece
from fantasyportrait.faces.people import Person, Sighting
from fantasyportrait.faces.search_times import SearchTimes

Arrays = dict[str, NDArray[Any]]


@dataclass
class WatchState:
    """What is known after a frame.

    Attributes:
        frames: how many frames were looked at.
        people: those who may be seen again.
        pieces: what numbers are made of, by person id.
        searches: when to search next.
        thumbnail: the last frame, float32 (32, 32, 3); None before the first.
        named: how many people got an id so far.
    """

    frames: int = 0
    people: list[Person] = field(default_factory=list)
    pieces: dict[int, Piece] = field(default_factory=dict)
    searches: SearchTimes = field(default_factory=SearchTimes)
    thumbnail: NDArray[np.float32] | None = None
    named: int = 0


def packed(state: WatchState) -> tuple[dict[str, Any], Arrays]:
    """The state as plain values, which JSON can hold, and arrays by name."""
    people = [
        {
            "id": person.id,
            "frame": person.frame,
            "time_s": person.time_s,
            "readings": person.readings,
            "seen_s": person.seen_s,
            "confirmed": person.confirmed,
            "together": sorted(person.together),
            "strangeness": person.strangeness,
        }
        for person in state.people
    ]
    pieces = [[own, piece.x, piece.counts_s, piece.person] for own, piece in state.pieces.items()]
    values = {
        "frames": state.frames,
        "named": state.named,
        "people": people,
        "pieces": pieces,
        "searches": asdict(state.searches),
    }
    arrays = {
        "thumbnail": np.zeros((0,), np.float32) if state.thumbnail is None else state.thumbnail,
        "points": _stacked([person.last.points for person in state.people]),
        "last_looks": _stacked([person.last.look.histograms for person in state.people]),
        "looks": _stacked([person.look.histograms for person in state.people]),
        "velocities": _stacked([person.velocity for person in state.people]),
    }
    return values, arrays


def unpacked(values: dict[str, Any], arrays: Arrays) -> WatchState:
    """The state that was packed; KeyError, TypeError or ValueError where it is damaged."""
    people = []
    for row, kept in enumerate(values["people"]):
        points = arrays["points"][row]
        sighting = Sighting(points, Appearance(arrays["last_looks"][row]), box_of(points))
        fields = {**kept, "together": set(kept["together"]), "velocity": arrays["velocities"][row]}
        people.append(Person(last=sighting, look=Appearance(arrays["looks"][row]), **fields))
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise ValueError("a state must be finite")
    return WatchState(
        frames=int(values["frames"]),
        people=people,
        pieces={int(own): Piece(x, counts_s, person) for own, x, counts_s, person in values["pieces"]},
        searches=SearchTimes(**values["searches"]),
        thumbnail=arrays["thumbnail"] if arrays["thumbnail"].size else None,
        named=int(values["named"]),
    )


def _stacked(arrays: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    return np.stack(arrays) if arrays else np.zeros((0,), np.float32)
