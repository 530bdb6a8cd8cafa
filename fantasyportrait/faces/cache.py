"""Tracks kept on disk by the clip's content: the same clip is never looked at twice.

One folder an entry, `tracks/KEY/`: `about.json` and four .npy files for each person, memory-mapped when read.
"""

import json
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.shelf import Shelf, content_key
from fantasyportrait.faces.face import Track
from fantasyportrait.faces.tracker import TRACKER_VERSION, track_clip
from fantasyportrait.media.decoder import Decoder

_ENTRIES = 64
_ABOUT = "about.json"
_ARRAYS = ("landmarks", "blendshapes", "valid", "mouths")


def cached_tracks(
    path: Path,
    rate: Fraction = Fraction(25),
    start_s: float = 0.0,
    end_s: float | None = None,
    *,
    cache_dir: Path,
    models_dir: Path | None = None,
    decoder: Decoder | None = None,
    progress: Callable[[int, int], None] | None = None,
    cancel: CancelToken | None = None,
) -> tuple[Track, ...]:
    """What `track_clip` returns, read from `cache_dir` where the same clip was tracked before.

    A damaged entry is tracked anew; where nothing can be written the tracks are returned all the same. The 64 entries
    used last are kept. Raises what `track_clip` raises.
    """
    shelf = Shelf(cache_dir / "tracks", _ENTRIES)
    key = content_key(path, f"{TRACKER_VERSION} {rate} {float(start_s)} {end_s and float(end_s)}")
    tracks = shelf.load(key, _read)
    if tracks is None:
        tracks = track_clip(
            path, rate, start_s, end_s, models_dir=models_dir, decoder=decoder, progress=progress, cancel=cancel
        )
        shelf.store(key, partial(_write, tracks))
    elif progress is not None:
        progress(len(tracks[0]), len(tracks[0]))
    return tracks


def _read(entry: Path) -> tuple[Track, ...]:
    """The entry's tracks; ValueError and the like where it is damaged."""
    about = json.loads((entry / _ABOUT).read_text(encoding="utf-8"))
    tracks = tuple(_read_track(entry, person, about["size"]) for person in about["people"])
    if not tracks or len({len(track) for track in tracks}) != 1:
        raise ValueError("no people, or tracks of different length")
    return tracks


def _read_track(entry: Path, person: int, size: Sequence[int]) -> Track:
    arrays = [np.load(_file(entry, person, name), mmap_mode="r", allow_pickle=False) for name in _ARRAYS]
    landmarks, blendshapes, valid, mouths = arrays
    width, height = size
    return Track(int(person), (int(width), int(height)), landmarks, blendshapes, valid, mouths)


def _write(tracks: tuple[Track, ...], entry: Path) -> None:
    for track in tracks:
        for name in _ARRAYS:
            np.save(_file(entry, track.person, name), getattr(track, name), allow_pickle=False)
    about = {"size": list(tracks[0].size), "people": [track.person for track in tracks]}
    (entry / _ABOUT).write_text(json.dumps(about), encoding="utf-8")


def _file(entry: Path, person: int, name: str) -> Path:
    return entry / f"{person}-{name}.npy"
