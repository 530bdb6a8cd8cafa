"""The log of the preview engine's times."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from fantasyportrait.preview.preview_times import PreviewTimeLog, PreviewWork

WORK = PreviewWork(640, 360, 100, side_by_side=False)


@pytest.fixture
def log(tmp_path: Path) -> PreviewTimeLog:
    return PreviewTimeLog(tmp_path / "cache" / "times.json")


def test_time_is_scaled_by_frames_and_pixels_of_alike_runs(log: PreviewTimeLog) -> None:
    assert log.expected_s(WORK) is None
    log.record(WORK, 10.0)
    log.record(replace(WORK, side_by_side=True), 99.0)
    assert log.expected_s(WORK) == pytest.approx(10)
    assert log.expected_s(replace(WORK, frames=50)) == pytest.approx(5)
    assert log.expected_s(replace(WORK, width=1280, height=720)) == pytest.approx(40)
    assert log.expected_s(replace(WORK, side_by_side=True)) == pytest.approx(99)
    assert log.expected_s(replace(WORK, frames=801)) is None, "a run of another size says little"


def test_runs_of_the_most_similar_size_decide(log: PreviewTimeLog) -> None:
    for frames, seconds in ((20, 5.0),) * 9 + ((100, 10.0),) * 5:
        log.record(replace(WORK, frames=frames), seconds)
    assert log.expected_s(replace(WORK, frames=90)) == pytest.approx(9)


def test_only_the_last_runs_are_kept(log: PreviewTimeLog) -> None:
    for number in range(45):
        log.record(WORK, 1.0 + number)
    assert [seconds for _, seconds in log.runs()] == [float(number) for number in range(6, 46)]
    assert log.expected_s(WORK) == pytest.approx(43)
    log.record(WORK, 0.0)
    assert len(log.runs()) == 40


@given(st.text() | st.sampled_from([
    '{"runs": [{"width": 1, "height": 1, "frames": 0, "side_by_side": true, "seconds": 1}]}',
    '{"runs": [{"width": 1, "height": 1, "frames": 1, "side_by_side": true, "seconds": NaN}]}',
    '{"runs": 3}', "[]",
]))  # fmt: skip
def test_damaged_log_counts_as_empty(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    file = tmp_path_factory.getbasetemp() / "damaged.json"
    file.write_text(text, encoding="utf-8")
    log = PreviewTimeLog(file)
    assert log.runs() == () and log.expected_s(WORK) is None
    log.record(WORK, 1.0)
    assert log.expected_s(WORK) == pytest.approx(1)
