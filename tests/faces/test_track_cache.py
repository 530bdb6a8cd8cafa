"""Cached segments: found by content for any part and rate, extended, and replaced when damaged."""

import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.digests import hash_file
from fantasyportrait.core.errors import Cancelled, FaceError, MediaError
from fantasyportrait.faces import clip_tracking
from fantasyportrait.faces.clip_tracking import track_clip
from fantasyportrait.faces.face_tracker import FaceTracker, FrameResult
from fantasyportrait.faces.track_cache import cached_tracks
from fantasyportrait.schema.face import Track
from tests.faces.scenes import Head, Placement, empty_room, paste, write_clip

FRAMES: list[int] = []


@pytest.fixture(autouse=True)
def watched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count the analysed frames, and keep segments short."""
    FRAMES.clear()
    take = FaceTracker.update

    def counted(self: FaceTracker, pixels: np.ndarray, time_s: float, length_s: float) -> FrameResult:
        FRAMES.append(self.state.frames)
        return take(self, pixels, time_s, length_s)

    monkeypatch.setattr(FaceTracker, "update", counted)
    monkeypatch.setattr(clip_tracking, "_SEGMENT_FRAMES", 16)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory, heads: tuple[Head, Head]) -> Path:
    """60 frames at 25 a second: somebody who moves, and from frame 12 to 47 somebody else."""

    def frame(number: int) -> np.ndarray:
        one = paste(empty_room(), heads[0], Placement(80 + number / 2, 120, 110))
        return paste(one, heads[1], Placement(250, 120, 110)) if 12 <= number < 48 else one

    return write_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", (frame(number) for number in range(60)))


@pytest.fixture(scope="module")
def fresh(clip: Path) -> tuple[Track, ...]:
    """The clip's tracks without a cache."""
    return track_clip(clip)


@pytest.fixture(scope="module")
def filled(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with the clip in segments of 16 frames."""
    folder = tmp_path_factory.mktemp("filled")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clip_tracking, "_SEGMENT_FRAMES", 16)
        cached_tracks(hash_file(clip), cache_dir=folder)
    return folder


def same(first: tuple[Track, ...], second: tuple[Track, ...]) -> bool:
    """True where all numbers and arrays are equal, bit by bit."""
    return len(first) == len(second) and all(
        (a.person, a.size, a.left_out) == (b.person, b.size, b.left_out)
        and all(
            np.array_equal(getattr(a, name), getattr(b, name))
            for name in ("landmarks", "blendshapes", "valid", "mouths", "mouth_indices")
        )
        for a, b in zip(first, second, strict=True)
    )


def test_any_part_and_rate_comes_from_one_analysis(clip: Path, fresh: tuple[Track, ...], cache_dir: Path) -> None:
    first = cached_tracks(hash_file(clip), cache_dir=cache_dir)
    assert same(first, fresh) and list(range(60)) == FRAMES and [track.person for track in first] == [1, 2]
    copy = Path(shutil.copy(clip, cache_dir / "another name.mp4"))
    told: list[tuple[int, int]] = []
    again = cached_tracks(hash_file(copy), cache_dir=cache_dir, progress=lambda *step: told.append(step))
    assert same(first, again) and told == [(60, 60)]
    for rate, start_s, end_s in (
        (Fraction(30), 0.0, None),
        (Fraction(24000, 1001), 0.5, 1.9),
        (Fraction(25), 2.1, 2.2),
    ):
        part = cached_tracks(hash_file(clip), rate, start_s, end_s, cache_dir=cache_dir)
        assert len(FRAMES) == 60
        assert len(part[0]) == round(float(rate) * ((end_s or 2.4) - start_s))


def test_part_is_analysed_from_start_as_far_as_needed(clip: Path, fresh: tuple[Track, ...], cache_dir: Path) -> None:
    cached_tracks(hash_file(clip), start_s=0.2, end_s=0.4, cache_dir=cache_dir)
    assert 35 <= len(FRAMES) <= 38
    done = len(FRAMES)
    cached_tracks(hash_file(clip), start_s=0.0, end_s=0.2, cache_dir=cache_dir)
    assert len(FRAMES) == done
    whole = cached_tracks(hash_file(clip), cache_dir=cache_dir)
    assert list(range(60)) == FRAMES
    assert same(whole, fresh)


def test_an_interrupted_analysis_goes_on_where_it_stopped(
    clip: Path, fresh: tuple[Track, ...], cache_dir: Path
) -> None:
    token = CancelToken()
    with pytest.raises(Cancelled):
        cached_tracks(
            hash_file(clip),
            cache_dir=cache_dir,
            cancel=token,
            progress=lambda done, _: token.cancel() if done == 40 else None,
        )
    stopped = len(FRAMES)
    assert 35 < stopped < 50
    whole = cached_tracks(hash_file(clip), cache_dir=cache_dir)
    assert list(range(60)) == FRAMES
    assert same(whole, fresh)


def test_interrupt_loses_only_incomplete_frame(
    clip: Path, fresh: tuple[Track, ...], cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    match = FaceTracker._match

    def interrupted(self: FaceTracker, *arguments: object) -> object:
        if self.state.frames == 41:
            raise KeyboardInterrupt
        return match(self, *arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(FaceTracker, "_match", interrupted)
        with pytest.raises(KeyboardInterrupt):
            cached_tracks(hash_file(clip), cache_dir=cache_dir)
    assert len(FRAMES) == 41
    whole = cached_tracks(hash_file(clip), cache_dir=cache_dir)
    assert FRAMES[41:] == list(range(32, 60))
    assert same(whole, fresh)


@pytest.mark.parametrize("damage", ["cut", "gone", "text", "changed", "not finite"])
def test_analysis_restarts_at_damaged_segment(
    clip: Path, fresh: tuple[Track, ...], filled: Path, cache_dir: Path, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(filled, cache_dir, dirs_exist_ok=True)
    entry = sorted((cache_dir / "tracks").iterdir())[1]
    file = entry / "landmarks.npy"
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:-100])
    elif damage == "gone":
        shutil.rmtree(entry)
    elif damage == "text":
        (entry / "about.json").write_text("{not json")
    elif damage == "changed":
        file.write_bytes(file.read_bytes()[:-1] + b"\x01")
    else:
        values = np.load(file)
        values[0, 0, 0] = np.nan
        np.save(file, values)
        monkeypatch.setattr("fantasyportrait.core.disk_cache._verify_checksums", lambda entry: None)
    FRAMES.clear()
    assert same(fresh, cached_tracks(hash_file(clip), cache_dir=cache_dir))
    assert FRAMES[0] == 16 and FRAMES[-1] < 60
    done = len(FRAMES)
    cached_tracks(hash_file(clip), cache_dir=cache_dir)
    assert len(FRAMES) == done


def test_other_content_is_another_clip(clip: Path, cache_dir: Path, tmp_path: Path) -> None:
    cached_tracks(hash_file(clip), end_s=0.1, cache_dir=cache_dir)
    other = tmp_path / "clip.mp4"
    other.write_bytes(clip.read_bytes() + bytes(8))
    before = len(FRAMES)
    cached_tracks(hash_file(other), end_s=0.1, cache_dir=cache_dir)
    assert len(FRAMES) == 2 * before


def test_unwritable_cache_is_ignored(clip: Path, fresh: tuple[Track, ...], tmp_path: Path) -> None:
    blocked = tmp_path / "a file, no folder"
    blocked.write_text("")
    assert same(cached_tracks(hash_file(clip), cache_dir=blocked), fresh)


def test_non_finite_segment_is_rejected(clip: Path, monkeypatch: pytest.MonkeyPatch, cache_dir: Path) -> None:
    scores = "fantasyportrait.faces.landmarks.LandmarkNet.blendshapes"
    monkeypatch.setattr(scores, lambda self, points: np.full(52, np.nan, np.float32))
    with pytest.raises(FaceError):
        cached_tracks(hash_file(clip), end_s=0.1, cache_dir=cache_dir)


def test_a_clip_changed_while_it_is_tracked_is_refused_and_not_kept(
    clip: Path, cache_dir: Path, tmp_path: Path
) -> None:
    changing = Path(shutil.copy(clip, tmp_path / "changing.mp4"))
    file = hash_file(changing)

    def change(done: int, _: int) -> None:
        if done == 8:
            (tmp_path / "new").write_bytes(clip.read_bytes() + bytes(8))
            (tmp_path / "new").replace(changing)

    with pytest.raises(MediaError, match=r"changing\.mp4 was changed while it was read: run the request again"):
        cached_tracks(file, cache_dir=cache_dir, progress=change)
    assert not list(cache_dir.glob("tracks/*"))


def test_empty_clip_is_cached_and_missing_clip_named(tmp_path: Path, cache_dir: Path) -> None:
    empty = write_clip(tmp_path / "empty.mp4", [empty_room()] * 20)
    for _ in range(2):
        with pytest.raises(FaceError, match=r"empty\.mp4"):
            cached_tracks(hash_file(empty), cache_dir=cache_dir)
    assert len(FRAMES) == 20
    with pytest.raises(MediaError, match="cannot read"):
        cached_tracks(hash_file(tmp_path / "gone.mp4"), cache_dir=cache_dir)
