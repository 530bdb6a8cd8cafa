"""Tracks on disk: found again by content, mended when damaged, never in the way."""

import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from fantasyportrait.core.errors import FaceError, MediaError
from fantasyportrait.faces import cache
from fantasyportrait.faces.cache import cached_tracks
from fantasyportrait.faces.face import Track
from tests.faces.factories import made_track

CALLS: list[tuple[object, ...]] = []


@pytest.fixture(autouse=True)
def tracker(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tracker that counts its calls and needs no time."""
    CALLS.clear()

    def track_clip(path: Path, *arguments: object, **_: object) -> tuple[Track, ...]:
        CALLS.append(arguments)
        if path.name.startswith("empty"):
            raise FaceError("no face")
        return made_track(12, person=1), made_track(12, person=2)

    monkeypatch.setattr(cache, "track_clip", track_clip)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"the bytes of a clip")
    return path


def entry_of(cache_dir: Path) -> Path:
    (entry,) = (cache_dir / "tracks").iterdir()
    return entry


def test_the_second_time_is_read_from_disk(clip: Path, cache_dir: Path) -> None:
    first = cached_tracks(clip, cache_dir=cache_dir)
    copy = shutil.copy(clip, clip.with_name("another name.mp4"))
    told: list[tuple[int, int]] = []
    second = cached_tracks(Path(copy), cache_dir=cache_dir, progress=lambda *step: told.append(step))
    assert len(CALLS) == 1
    assert told == [(12, 12)]
    for a, b in zip(first, second, strict=True):
        assert (a.person, a.size) == (b.person, b.size)
        for name in ("landmarks", "blendshapes", "valid", "mouths"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
            assert getattr(a, name).dtype == getattr(b, name).dtype
        assert isinstance(b.landmarks, np.memmap)


def test_rate_span_and_content_make_another_entry(clip: Path, cache_dir: Path) -> None:
    cached_tracks(clip, cache_dir=cache_dir)
    cached_tracks(clip, Fraction(30), cache_dir=cache_dir)
    cached_tracks(clip, Fraction(25), 0.5, cache_dir=cache_dir)
    cached_tracks(clip, Fraction(25), 0.0, 2.0, cache_dir=cache_dir)
    clip.write_bytes(b"other bytes")
    cached_tracks(clip, cache_dir=cache_dir)
    assert len(CALLS) == 5


@pytest.mark.parametrize("damage", ["cut", "gone", "text", "pickle"])
def test_a_damaged_entry_is_tracked_anew(clip: Path, cache_dir: Path, damage: str) -> None:
    cached_tracks(clip, cache_dir=cache_dir)
    entry = entry_of(cache_dir)
    file = entry / "2-landmarks.npy"
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:-100])
    elif damage == "gone":
        file.unlink()
    elif damage == "text":
        (entry / "about.json").write_text("{not json")
    else:
        np.save(file, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    tracks = cached_tracks(clip, cache_dir=cache_dir)
    assert len(CALLS) == 2
    assert len(tracks) == 2
    cached_tracks(clip, cache_dir=cache_dir)
    assert len(CALLS) == 2


def test_a_cache_that_cannot_be_written_costs_nothing_else(clip: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "a file, no folder"
    blocked.write_text("")
    assert len(cached_tracks(clip, cache_dir=blocked)) == 2


def test_the_oldest_entries_go(clip: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "_ENTRIES", 3)
    for number in range(5):
        clip.write_bytes(bytes([number]))
        cached_tracks(clip, cache_dir=cache_dir)
    assert len(list((cache_dir / "tracks").iterdir())) == 3
    cached_tracks(clip, cache_dir=cache_dir)
    assert len(CALLS) == 5


def test_errors_are_not_kept(clip: Path, cache_dir: Path) -> None:
    empty = clip.rename(clip.with_name("empty.mp4"))
    for _ in range(2):
        with pytest.raises(FaceError):
            cached_tracks(empty, cache_dir=cache_dir)
    assert len(CALLS) == 2
    with pytest.raises(MediaError, match="cannot read"):
        cached_tracks(clip, cache_dir=cache_dir)
