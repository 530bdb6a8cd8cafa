"""Segments on the disk: a folder each, with `about.json`, one .npy file for each array and `state.npz`."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np

from fantasyportrait.faces.readings import Segment
from fantasyportrait.faces.watch_state import packed, unpacked

_ABOUT, _STATE = "about.json", "state.npz"
_ARRAYS = ("left_out", "frames", "people", "landmarks", "blendshapes", "mouths")


def write_segment(segment: Segment, folder: Path) -> None:
    """Write the segment into an empty folder. Raises OSError."""
    values, arrays = packed(segment.state)
    for name in _ARRAYS:
        np.save(folder / f"{name}.npy", getattr(segment, name), allow_pickle=False)
    np.savez(folder / _STATE, **arrays)  # type: ignore[arg-type]
    about = {
        "size": list(segment.size),
        "first": segment.first,
        "spans": [[str(begin), str(end)] for begin, end in segment.spans],
        "last": segment.last,
        "state": values,
    }
    (folder / _ABOUT).write_text(json.dumps(about), encoding="utf-8")


def read_segment(folder: Path, first: int) -> Segment:
    """The segment that begins with frame `first`; OSError, ValueError and the like where there is no sound one.

    Landmarks, blendshapes and mouths are mapped from the disk.
    """
    about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
    if about["first"] != first:
        raise ValueError(f"the segment begins with frame {about['first']}, expected {first}")
    with np.load(folder / _STATE, allow_pickle=False) as kept:
        state = unpacked(about["state"], {name: kept[name] for name in kept.files})
    arrays = {
        name: np.load(folder / f"{name}.npy", mmap_mode="r" if name == "mouths" else None, allow_pickle=False)
        for name in _ARRAYS
    }
    width, height = about["size"]
    spans = tuple((Fraction(begin), Fraction(end)) for begin, end in about["spans"])
    return Segment((int(width), int(height)), first, spans, state=state, last=bool(about["last"]), **arrays)
