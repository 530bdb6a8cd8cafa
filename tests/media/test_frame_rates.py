"""A clip's own rate is measured from its frame times, and exact where it is constant."""

from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from fantasyportrait.media.clips import native_rate
from fantasyportrait.media.frame_rates import STANDARD_RATES, measured_rate, nearest_standard
from tests.factories_media import ClipSpec, grey, make_clip

FRAMES = [grey(60)] * 40
UNEVEN = [sum(25 + (7 * step) % 20 for step in range(frame)) for frame in range(40)]  # 25 to 44 ms, 29 a second


@pytest.mark.parametrize(("suffix", "codec"), [
    ("mp4", "libx264"), ("mov", "libx264"), ("mkv", "libx264"), ("webm", "libvpx-vp9"), ("ts", "libx264"),
    ("avi", "mpeg4"),
])  # fmt: skip
def test_every_container_tells_its_rate(tmp_path: Path, suffix: str, codec: str) -> None:
    for rate in (Fraction(25), Fraction(30000, 1001), Fraction(18)):
        path = make_clip(tmp_path / f"{rate.numerator}.{suffix}", FRAMES, ClipSpec(codec, rate=rate, options=()))
        assert native_rate(path) == (rate, True)
    uneven = make_clip(tmp_path / f"uneven.{suffix}", FRAMES, ClipSpec(codec, stamps=UNEVEN, options=()))
    measured = native_rate(uneven)
    assert measured is not None and not measured[1]
    assert nearest_standard(measured[0]) == Fraction(30000, 1001)


def test_dropped_frames_do_not_make_a_rate_variable(tmp_path: Path) -> None:
    stamps = [40 * frame for frame in range(40) if frame not in (12, 13, 30)]
    path = make_clip(tmp_path / "dropped.mkv", FRAMES[:37], ClipSpec(stamps=stamps))
    assert native_rate(path) == (Fraction(25), True)


def test_single_frame_clip_uses_header_rate(tmp_path: Path) -> None:
    assert native_rate(make_clip(tmp_path / "one.mp4", FRAMES[:1], ClipSpec(rate=Fraction(24)))) == (Fraction(24), True)


@given(st.sampled_from(STANDARD_RATES), st.integers(150, 400), st.integers(0, 999))
def test_times_rounded_to_milliseconds_give_the_exact_rate(rate: Fraction, frames: int, first_ms: int) -> None:
    times = [Fraction(round(frame * 1000 / rate) + first_ms, 1000) for frame in range(frames * max(1, int(rate) // 60))]
    assert measured_rate(times) == (rate, True)


def test_no_rate_of_a_single_time() -> None:
    assert measured_rate([Fraction(1)]) is None
    assert measured_rate([Fraction(1), Fraction(1)]) is None
