"""Cached motion codes: found for the same clip, person, options and weights, computed for any other."""

import shutil
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from fantasyportrait.core.digests import hash_file
from fantasyportrait.core.errors import MediaError
from fantasyportrait.core.limits import PRIVATE
from fantasyportrait.media.decoder import LocalDecoder
from fantasyportrait.motion.motion_cache import ClipSpan, cached_motion
from fantasyportrait.motion.motion_nets import MotionNets
from fantasyportrait.schema.face import Track
from tests.faces.factories import made_track
from tests.factories_media import counting, make_clip


class CountingEncoder:
    """Features from the brightness of the crop; counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, crops: np.ndarray) -> np.ndarray:
        self.calls += 1
        return np.repeat(crops.mean(axis=(1, 2, 3))[:, None], 554, axis=1).astype(np.float32)


@pytest.fixture
def clip(tmp_path: Path) -> ClipSpan:
    """Eight greys, lighter from frame to frame."""
    return ClipSpan(hash_file(make_clip(tmp_path / "clip.mp4", [counting(i) for i in range(8)])))


@pytest.fixture
def track() -> Track:
    """A face that fills the eight frames."""
    return sized(made_track(8))


def sized(track: Track) -> Track:
    """The same, in the clip's frames: its face larger than these."""
    points = np.random.default_rng(0).normal([32, 24, 0], [200, 200, 1], (1, 478, 3)).astype(np.float32)
    return replace(
        track, size=(64, 48), landmarks=points.repeat(len(track), axis=0), valid=np.ones(len(track), np.bool_)
    )


def test_the_second_time_is_read_from_disk(clip: ClipSpan, track: Track, cache_dir: Path) -> None:
    encoder = CountingEncoder()
    first = cached_motion(clip, track, MotionNets(encoder, "a"), cache_dir=cache_dir)
    assert len(first) == 8 and encoder.calls == 1
    path = clip.file.path
    copy = replace(clip, file=hash_file(Path(shutil.copy(path, path.with_name("another name.mp4")))))
    told: list[tuple[int, int]] = []
    nets = MotionNets(encoder, "a", batch=3)
    second = cached_motion(copy, track, nets, cache_dir=cache_dir, progress=lambda *step: told.append(step))
    assert encoder.calls == 1 and told == [(8, 8)]
    np.testing.assert_array_equal(second.features, first.features)
    np.testing.assert_array_equal(second.valid, first.valid)


def test_whatever_changes_the_features_makes_another_entry(clip: ClipSpan, track: Track, cache_dir: Path) -> None:
    encoder = CountingEncoder()
    nets = MotionNets(encoder, "a")
    cached_motion(clip, track, nets, cache_dir=cache_dir)
    cached_motion(clip, track, MotionNets(encoder, "b"), cache_dir=cache_dir)
    cached_motion(clip, track, nets, cache_dir=cache_dir, mirror=True)
    cached_motion(clip, replace(track, person=2), nets, cache_dir=cache_dir)
    cached_motion(replace(clip, end_s=0.16), sized(made_track(4)), nets, cache_dir=cache_dir)
    cached_motion(replace(clip, start_s=0.16), sized(made_track(4)), nets, cache_dir=cache_dir)
    cached_motion(replace(clip, rate=Fraction(50)), sized(made_track(16)), nets, cache_dir=cache_dir)
    path = make_clip(clip.file.path, [counting(i + 1) for i in range(8)])
    cached_motion(replace(clip, file=hash_file(path)), track, nets, cache_dir=cache_dir)
    assert encoder.calls == 8 == len(list((cache_dir / "motion_codes").iterdir()))


@pytest.mark.parametrize("damage", ["cut", "gone", "rows", "pickle"])
def test_damaged_entry_is_recomputed(damage: str, clip: ClipSpan, track: Track, cache_dir: Path) -> None:
    encoder = CountingEncoder()
    nets = MotionNets(encoder, "a")
    first = cached_motion(clip, track, nets, cache_dir=cache_dir)
    (entry,) = (cache_dir / "motion_codes").iterdir()
    file = entry / "features.npy"
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:-100])
    elif damage == "gone":
        file.unlink()
    elif damage == "rows":
        np.save(file, first.features[:5])
        np.save(entry / "valid.npy", first.valid[:5])
    else:
        np.save(file, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    again = cached_motion(clip, track, nets, cache_dir=cache_dir)
    assert encoder.calls == 2
    np.testing.assert_array_equal(again.features, first.features)
    cached_motion(clip, track, nets, cache_dir=cache_dir)
    assert encoder.calls == 2


def test_unwritable_cache_is_ignored(clip: ClipSpan, track: Track, tmp_path: Path) -> None:
    blocked = tmp_path / "a file, no folder"
    blocked.write_text("")
    assert len(cached_motion(clip, track, MotionNets(CountingEncoder(), "a"), cache_dir=blocked)) == 8


def test_long_clip_is_read_as_far_as_its_track(clip: ClipSpan, cache_dir: Path) -> None:
    decoder = LocalDecoder(replace(PRIVATE, clip_length_s=0.2, track_rows=4))
    nets = MotionNets(CountingEncoder(), "a")
    assert len(cached_motion(clip, sized(made_track(4)), nets, cache_dir=cache_dir, decoder=decoder)) == 4


def test_a_missing_clip_is_named(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"gone\.mp4"):
        ClipSpan(hash_file(tmp_path / "gone.mp4"))


def test_a_clip_changed_while_it_is_encoded_is_refused_and_not_kept(
    clip: ClipSpan, track: Track, cache_dir: Path
) -> None:
    class ChangingEncoder(CountingEncoder):
        def __call__(self, crops: np.ndarray) -> np.ndarray:
            make_clip(clip.file.path, [counting(i + 1) for i in range(8)])
            return super().__call__(crops)

    with pytest.raises(MediaError, match=r"clip\.mp4 was changed while it was read"):
        cached_motion(clip, track, MotionNets(ChangingEncoder(), "a"), cache_dir=cache_dir)
    assert not list(cache_dir.glob("motion_codes/*"))
