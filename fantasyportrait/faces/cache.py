"""Tracks kept on disk by the clip's content: the same clip is never looked at twice.

One folder an entry, `tracks/KEY/`: `about.json` and four .npy files for each person, memory-mapped when read.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import numpy as np

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import MediaError
from fantasyportrait.core.files import file_sha256
from fantasyportrait.faces.face import Track
from fantasyportrait.faces.tracker import TRACKER_VERSION, track_clip

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
    progress: Callable[[int, int], None] | None = None,
    cancel: CancelToken | None = None,
) -> tuple[Track, ...]:
    """What `track_clip` returns, read from `cache_dir` where the same clip was tracked before.

    A damaged entry is tracked anew; where nothing can be written the tracks are returned all the same. The 64 entries
    used last are kept. Raises what `track_clip` raises.
    """
    shelf = cache_dir / "tracks"
    entry = shelf / _key(path, rate, start_s, end_s)
    tracks = _load(entry)
    if tracks is None:
        tracks = track_clip(path, rate, start_s, end_s, models_dir=models_dir, progress=progress, cancel=cancel)
        _store(entry, tracks)
        _prune(shelf)
    elif progress is not None:
        progress(len(tracks[0]), len(tracks[0]))
    return tracks


def _key(path: Path, rate: Fraction, start_s: float, end_s: float | None) -> str:
    """Name of the entry: sha256 of the clip's bytes, the span, the rate and the tracker's version."""
    try:
        return file_sha256(path, f"{TRACKER_VERSION} {rate} {float(start_s)} {end_s and float(end_s)}\n")
    except OSError as error:
        raise MediaError(f"cannot read {path}: {error.strerror or error}; check the path") from error


def _load(entry: Path) -> tuple[Track, ...] | None:
    """The entry's tracks, or None where it is absent or damaged (then it is removed)."""
    try:
        about = json.loads((entry / _ABOUT).read_text(encoding="utf-8"))
        tracks = tuple(_load_track(entry, person, about["size"]) for person in about["people"])
        if not tracks or len({len(track) for track in tracks}) != 1:
            raise ValueError("no people, or tracks of different length")
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        shutil.rmtree(entry, ignore_errors=True)
        return None
    with suppress(OSError):  # a read-only cache is still a cache
        os.utime(entry)
    return tracks


def _load_track(entry: Path, person: int, size: Sequence[int]) -> Track:
    arrays = [np.load(_file(entry, person, name), mmap_mode="r", allow_pickle=False) for name in _ARRAYS]
    landmarks, blendshapes, valid, mouths = arrays
    width, height = size
    return Track(int(person), (int(width), int(height)), landmarks, blendshapes, valid, mouths)


def _store(entry: Path, tracks: tuple[Track, ...]) -> None:
    """Write the entry in one step; a full disk or a read-only folder costs only the cache."""
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        half = Path(tempfile.mkdtemp(dir=entry.parent, prefix=".half-"))
    except OSError:
        return
    try:
        for track in tracks:
            for name in _ARRAYS:
                np.save(_file(half, track.person, name), getattr(track, name), allow_pickle=False)
        about = {"size": list(tracks[0].size), "people": [track.person for track in tracks]}
        (half / _ABOUT).write_text(json.dumps(about), encoding="utf-8")
        os.replace(half, entry)
    except OSError:  # also where another process stored the same clip first
        shutil.rmtree(half, ignore_errors=True)


def _prune(shelf: Path) -> None:
    """Remove the entries used longest ago beyond the 64 newest."""
    try:
        entries = sorted(shelf.iterdir(), key=lambda entry: entry.stat().st_mtime, reverse=True)
    except OSError:
        return
    for entry in entries[_ENTRIES:]:
        shutil.rmtree(entry, ignore_errors=True)


def _file(entry: Path, person: int, name: str) -> Path:
    return entry / f"{person}-{name}.npy"
