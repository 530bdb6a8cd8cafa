"""Rates and rows, as properties."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, strategies as st

from fantasyportrait.core.errors import RequestError
from fantasyportrait.schema.timeline import Timeline, fill_indices, frame_count, parse_rate

lengths = st.integers(1, 60)
totals = st.integers(0, 400)


@given(lengths, totals, st.sampled_from(["loop", "hold", "pingpong"]))
def test_fill_indices_are_valid_and_start_at_zero(length: int, total: int, fill: str) -> None:
    rows = fill_indices(length, total, fill)
    assert rows.shape == (total,) and rows.dtype == np.int64
    assert ((rows >= 0) & (rows < length)).all()
    assert (rows[:length] == np.arange(min(length, total))).all()


@given(lengths, totals, st.integers(0, 500), st.sampled_from(["loop", "hold", "pingpong"]))
def test_delay_holds_first_row(length: int, total: int, delay: int, fill: str) -> None:
    rows = fill_indices(length, total, fill, delay)
    assert len(rows) == total and not rows[:delay].any()
    assert (rows[delay:] == fill_indices(length, max(0, total - delay), fill)).all()


@given(lengths, totals)
def test_loop_fill_is_periodic(length: int, total: int) -> None:
    rows = fill_indices(length, total, "loop")
    assert (rows[length:] == rows[: max(0, total - length)]).all()


@given(lengths, totals)
def test_hold_fill_stays_at_last_row(length: int, total: int) -> None:
    assert (fill_indices(length, total, "hold")[length - 1 :] == length - 1).all()


@given(st.integers(2, 60), totals)
def test_pingpong_fill_steps_by_one(length: int, total: int) -> None:
    assert (np.abs(np.diff(fill_indices(length, total, "pingpong"))) == 1).all()


@given(st.integers(1, 100_000), st.sampled_from(["25", "30000/1001", "24", "59.94"]))
def test_frame_count_survives_conversion_to_seconds(frames: int, rate_text: str) -> None:
    rate = parse_rate(rate_text)
    assert frame_count(Timeline(rate, frames).duration_s, rate) == frames


@given(st.integers(1, 240), st.integers(1, 240))
def test_parse_rate_reads_fractions_exactly(up: int, down: int) -> None:
    rate = Fraction(up, down)
    if rate >= 1:
        assert parse_rate(f"{up}/{down}") == rate


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("25", Fraction(25)),
        ("29.97", Fraction(30000, 1001)),
        ("23.976", Fraction(24000, 1001)),
        ("12.5", Fraction(25, 2)),
        ("30.0", Fraction(30)),
    ],
)
def test_parse_rate_reads_common_rates(text: str, rate: Fraction) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["", "0", "-25", "1/0", "nan", "1e9", "25 fps", "100000", "0.5", "٢٥"])
def test_parse_rate_refuses_invalid_rate(text: str) -> None:
    with pytest.raises(RequestError, match="frame rate"):
        parse_rate(text)


def test_invalid_length_or_fill_is_refused() -> None:
    with pytest.raises(RequestError):
        fill_indices(0, 5, "loop")
    with pytest.raises(RequestError, match="bounce"):
        fill_indices(3, 5, "bounce")  # type: ignore[arg-type]
    with pytest.raises(RequestError):
        Timeline(Fraction(25), 0)
    assert frame_count(0.0, Fraction(25)) == 1 and frame_count(3.04, Fraction(25)) == 76
