"""People followed through a clip -> tracks: one person's pieces joined, ghosts dropped, rows without a face filled."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.faces.face import Track
from fantasyportrait.faces.people import SAME_LOOK, Person, Row

_GHOST_S = 0.4
_GHOST_SHARE = 0.05


def tracks_of(people: Sequence[Person], frames: int, size: tuple[int, int], rate: float) -> tuple[Track, ...]:
    """Tracks of `frames` rows, numbered from left to right by the mean place where each person was seen.

    Somebody seen for less than 0.4 s and less than 5 % of the clip is taken for a ghost. `size`: (width, height).
    """
    least = min(_GHOST_S * rate, _GHOST_SHARE * frames)
    kept = [person for person in _joined(people) if len(person.rows) >= least]
    kept.sort(key=lambda person: float(np.mean([row.landmarks[:, 0].mean() for row in person.rows.values()])))
    return tuple(_track(number, person.rows, frames, size) for number, person in enumerate(kept, start=1))


def _joined(people: Sequence[Person]) -> list[Person]:
    """People who look alike and were never seen together become one: the longest piece takes in the others."""
    whole: list[Person] = []
    for person in sorted(people, key=lambda person: -len(person.rows)):
        for known in whole:
            if known.look.distance(person.look) < SAME_LOOK and known.rows.keys().isdisjoint(person.rows):
                known.rows.update(person.rows)
                break
        else:
            whole.append(person)
    return whole


def _track(number: int, rows: dict[int, Row], frames: int, size: tuple[int, int]) -> Track:
    valid = np.zeros(frames, np.bool_)
    valid[sorted(rows)] = True
    # A picture shown twice is one reading; readings are interpolated from their own times onto the rows.
    found = list({rows[frame].own_time: rows[frame] for frame in sorted(rows)}.values())
    before, after, share = _neighbours(np.array([row.own_time for row in found]), frames)
    nearest = np.where(share < 0.5, before, after)
    return Track(
        person=number,
        size=size,
        landmarks=_between(np.stack([row.landmarks for row in found]), before, after, share),
        blendshapes=_between(np.stack([row.blendshapes for row in found]), before, after, share),
        valid=valid,
        mouths=np.stack([row.mouth for row in found])[nearest],
    )


def _neighbours(
    times: NDArray[np.float64], frames: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """For each row: the places in `times` of the last reading before and the first after it, and how far between."""
    every = np.arange(frames)
    after = np.clip(np.searchsorted(times, every), 0, len(times) - 1)
    before = np.clip(np.searchsorted(times, every, side="right") - 1, 0, len(times) - 1)
    length = np.where(after > before, times[after] - times[before], 1.0)
    share = np.clip((every - times[before]) / length, 0, 1)
    return before, after, share.astype(np.float32)


def _between(
    values: NDArray[np.float32], before: NDArray[np.int64], after: NDArray[np.int64], share: NDArray[np.float32]
) -> NDArray[np.float32]:
    weights = share.reshape(-1, *[1] * (values.ndim - 1))
    filled = values[before]
    filled += (values[after] - filled) * weights
    return filled
