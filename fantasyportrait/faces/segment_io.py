"""Segments on the disk: a folder each, with `header.json`, one .npy file for each array and `state.npz`."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np

from fantasyportrait.faces.segments import Segment
from fantasyportrait.faces.tracker_state import pack_state, unpack_state

_HEADER, _STATE = "header.json", "state.npz"
_ARRAYS = ("left_out", "frames", "people", "landmarks", "blendshapes", "mouths")


def write_segment(segment: Segment, folder: Path) -> None:
    """Write the segment into an empty folder. Raises OSError."""
    values, arrays = pack_state(segment.state)
    for name in _ARRAYS:
        np.save(folder / f"{name}.npy", getattr(segment, name), allow_pickle=False)
    np.savez(folder / _STATE, **arrays)  # type: ignore[arg-type]
    header = {
        "size": list(segment.size),
        "first": segment.first,
        "spans": [[str(begin), str(end)] for begin, end in segment.spans],
        "last": segment.last,
        "state": values,
    }
    (folder / _HEADER).write_text(json.dumps(header), encoding="utf-8")


def read_segment(folder: Path, first: int) -> Segment:
    """The segment that begins with frame `first`; OSError, ValueError and the like where there is no sound one.

    Landmarks, blendshapes and mouths are mapped from the disk.
    """
    header = json.loads((folder / _HEADER).read_text(encoding="utf-8"))
    if header["first"] != first:
        raise ValueError(f"the segment begins with frame {header['first']}, expected {first}")
    with np.load(folder / _STATE, allow_pickle=False) as kept:
        state = unpack_state(header["state"], {name: kept[name] for name in kept.files})
    arrays = {
        name: np.load(folder / f"{name}.npy", mmap_mode="r" if name == "mouths" else None, allow_pickle=False)
        for name in _ARRAYS
    }
    width, height = header["size"]
    spans = tuple((Fraction(begin), Fraction(end)) for begin, end in header["spans"])
    return Segment((int(width), int(height)), first, spans, state=state, last=bool(header["last"]), **arrays)
