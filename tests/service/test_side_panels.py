"""A clip's frames in the side-by-side video lie on the same rows as its motion."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from hypothesis import given, settings, strategies as st

from fantasyportrait.media.clips import ClipInfo
from fantasyportrait.media.decoder import LocalDecoder
from fantasyportrait.media.timeline import Fill, Timeline, fill_rows
from fantasyportrait.service import side_panels
from fantasyportrait.service.cast import ClipSource
from fantasyportrait.service.driving import DrivingClip
from fantasyportrait.service.engines import canonical_face
from fantasyportrait.service.sketch import sketch
from tests.service.test_driving import _track

RATE = Fraction(30000, 1001)


@given(st.integers(1, 130), st.integers(1, 400), st.sampled_from(["loop", "hold", "pingpong"]), st.integers(0, 200))
@settings(max_examples=60)
def test_frames_follow_the_rows(length: int, total: int, fill: Fill, delay: int) -> None:
    class Numbers(LocalDecoder):
        def frames(self, path: Path, rate: Fraction, start_s: float, *_: object) -> Iterator[tuple[float, int]]:  # type: ignore[override]
            yield from ((0.0, row) for row in range(round((start_s - 1.5) * rate), length))

    source = ClipSource(Path("a.mp4"), start_s=1.5)
    clip = DrivingClip(1, source, ClipInfo(source.path, 64, 64, RATE, 9.0, False), _track(1, length))
    rows = fill_rows(length, total, fill, delay)
    reading = side_panels._Reading(Numbers(), 360)
    assert np.array_equal(list(side_panels._clip_frames(clip, RATE, rows, reading)), rows)


def test_a_stream_that_is_too_short_holds_its_last_frame() -> None:
    assert list(side_panels._held(iter([1, 2]), 4)) == [1, 2, 2, 2]  # type: ignore[list-item, comparison-overlap]
    assert list(side_panels._held(iter([1, 2, 3]), 2)) == [1, 2]  # type: ignore[list-item, comparison-overlap]
    assert list(side_panels._held(iter([]), 2)) == []


def test_a_built_in_motion_is_drawn(models_dir: Path) -> None:
    frames = list(sketch("laugh", Timeline(Fraction(25), 10), canonical_face(models_dir)))
    assert len(frames) == 10
    assert {frame.shape for frame in frames} == {(240, 240, 3)}
    drawn = [np.any(frame != frame[0, 0], axis=2).mean() for frame in frames]
    assert min(drawn) > 0.02
    assert max(drawn) < 0.2
    assert not np.array_equal(frames[0], frames[5])
