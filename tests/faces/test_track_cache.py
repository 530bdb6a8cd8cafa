"""Readings on disk: found again by content for any part and rate, gone on with, mended when damaged."""

import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from fantasyportrait.core.cancel import CancelToken
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
    """Counts the frames that are looked at, and keeps segments short."""
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
    """What the clip's tracks are without a cache."""
    return track_clip(clip)


@pytest.fixture(scope="module")
def filled(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache in which the clip lies, in segments of 16 frames."""
    folder = tmp_path_factory.mktemp("filled")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clip_tracking, "_SEGMENT_FRAMES", 16)
        cached_tracks(clip, cache_dir=folder)
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
    first = cached_tracks(clip, cache_dir=cache_dir)
    assert same(first, fresh) and list(range(60)) == FRAMES and [track.person for track in first] == [1, 2]
    copy = Path(shutil.copy(clip, cache_dir / "another name.mp4"))
    told: list[tuple[int, int]] = []
    again = cached_tracks(copy, cache_dir=cache_dir, progress=lambda *step: told.append(step))
    assert same(first, again) and told == [(60, 60)]
    for rate, start_s, end_s in (
        (Fraction(30), 0.0, None),
        (Fraction(24000, 1001), 0.5, 1.9),
        (Fraction(25), 2.1, 2.2),
    ):
        part = cached_tracks(clip, rate, start_s, end_s, cache_dir=cache_dir)
        assert len(FRAMES) == 60
        assert len(part[0]) == round(float(rate) * ((end_s or 2.4) - start_s))


def test_a_part_is_analysed_from_the_beginning_and_only_as_far_as_needed(
    clip: Path, fresh: tuple[Track, ...], cache_dir: Path
) -> None:
    cached_tracks(clip, start_s=0.2, end_s=0.4, cache_dir=cache_dir)
    assert 35 <= len(FRAMES) <= 38
    done = len(FRAMES)
    cached_tracks(clip, start_s=0.0, end_s=0.2, cache_dir=cache_dir)
    assert len(FRAMES) == done
    whole = cached_tracks(clip, cache_dir=cache_dir)
    assert list(range(60)) == FRAMES
    assert same(whole, fresh)


def test_an_interrupted_analysis_goes_on_where_it_stopped(
    clip: Path, fresh: tuple[Track, ...], cache_dir: Path
) -> None:
    token = CancelToken()
    with pytest.raises(Cancelled):
        cached_tracks(
            clip, cache_dir=cache_dir, cancel=token, progress=lambda done, _: token.cancel() if done == 40 else None
        )
    stopped = len(FRAMES)
    assert 35 < stopped < 50
    whole = cached_tracks(clip, cache_dir=cache_dir)
    assert list(range(60)) == FRAMES
    assert same(whole, fresh)


def test_an_interrupt_inside_a_frame_loses_only_what_is_not_whole(
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
            cached_tracks(clip, cache_dir=cache_dir)
    assert len(FRAMES) == 41
    whole = cached_tracks(clip, cache_dir=cache_dir)
    assert FRAMES[41:] == list(range(32, 60))
    assert same(whole, fresh)


@pytest.mark.parametrize("damage", ["cut", "gone", "text", "changed", "not finite"])
def test_from_a_damaged_segment_on_it_is_done_again(
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
        monkeypatch.setattr("fantasyportrait.core.disk_cache._check_sums", lambda entry: None)
    FRAMES.clear()
    assert same(fresh, cached_tracks(clip, cache_dir=cache_dir))
    assert FRAMES[0] == 16 and FRAMES[-1] < 60
    done = len(FRAMES)
    cached_tracks(clip, cache_dir=cache_dir)
    assert len(FRAMES) == done


def test_other_content_is_another_clip(clip: Path, cache_dir: Path, tmp_path: Path) -> None:
    cached_tracks(clip, end_s=0.1, cache_dir=cache_dir)
    other = tmp_path / "clip.mp4"
    other.write_bytes(clip.read_bytes() + bytes(8))
    before = len(FRAMES)
    cached_tracks(other, end_s=0.1, cache_dir=cache_dir)
    assert len(FRAMES) == 2 * before


def test_a_cache_that_cannot_be_written_costs_nothing_else(
    clip: Path, fresh: tuple[Track, ...], tmp_path: Path
) -> None:
    blocked = tmp_path / "a file, no folder"
    blocked.write_text("")
    assert same(cached_tracks(clip, cache_dir=blocked), fresh)


def test_a_reading_that_is_not_finite_is_no_reading(
    clip: Path, monkeypatch: pytest.MonkeyPatch, cache_dir: Path
) -> None:
    scores = "fantasyportrait.faces.landmarks.LandmarkNet.blendshapes"
    monkeypatch.setattr(scores, lambda self, points: np.full(52, np.nan, np.float32))
    with pytest.raises(FaceError):
        cached_tracks(clip, end_s=0.1, cache_dir=cache_dir)


def test_an_empty_clip_is_not_searched_twice_and_a_missing_one_is_named(tmp_path: Path, cache_dir: Path) -> None:
    empty = write_clip(tmp_path / "empty.mp4", [empty_room()] * 20)
    for _ in range(2):
        with pytest.raises(FaceError, match=r"empty\.mp4"):
            cached_tracks(empty, cache_dir=cache_dir)
    assert len(FRAMES) == 20
    with pytest.raises(MediaError, match="cannot read"):
        cached_tracks(tmp_path / "gone.mp4", cache_dir=cache_dir)
