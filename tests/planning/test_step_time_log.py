"""Times of past runs are kept and bounded; a broken log never stops a run."""

from dataclasses import replace
from pathlib import Path

import pytest

from fantasyportrait.planning.estimate import TimeCorrection
from fantasyportrait.planning.step_time_log import StepTimeLog, StepTiming, TimingKey

KEY = TimingKey("A GPU", "stream", "wan-480p", "bfloat16", "native", False, "none")
SIZE = 10**6


@pytest.fixture
def log(tmp_path: Path) -> StepTimeLog:
    """A log in a folder that does not exist yet."""
    return StepTimeLog(tmp_path / "cache" / "speeds.json")


def test_step_time_log_uses_median_of_last_runs(log: StepTimeLog) -> None:
    assert log.correction(KEY, SIZE) == TimeCorrection(1.0, measured=False)
    for measured in (50.0, 50.0, 1.0, 2.0, 3.0, 2.0, 9.0):
        log.record(StepTiming(KEY, 2.0, measured, SIZE))
    assert log.correction(KEY, SIZE) == TimeCorrection(1.0, measured=True)  # of 0.5, 1, 1.5, 1, 4.5
    assert log.runs()[-1] == StepTiming(KEY, 2.0, 9.0, SIZE)


def test_step_time_log_falls_back_to_other_profiles(log: StepTimeLog) -> None:
    log.record(StepTiming(KEY, 2.0, 3.0, SIZE))
    assert log.correction(replace(KEY, profile="nf4"), SIZE) == TimeCorrection(1.5, measured=False)
    for other in ({"device": "B"}, {"precision": "float16"}, {"cache": "mag"}, {"processes": 2}):
        assert log.correction(replace(KEY, **other), SIZE) == TimeCorrection()


def test_step_time_log_ignores_other_job_sizes(log: StepTimeLog) -> None:
    log.record(StepTiming(KEY, 2.0, 9.0, SIZE // 10))
    assert log.correction(KEY, SIZE) == TimeCorrection() and log.correction(KEY, SIZE // 20).measured


def test_step_time_log_keeps_twenty_valid_times(log: StepTimeLog) -> None:
    for number in range(25):
        log.record(StepTiming(replace(KEY, model=str(number)), 1.0, 1.0, SIZE))
    log.record(StepTiming(KEY, 0.0, 1.0, SIZE))
    assert [run.key.model for run in log.runs()] == [str(number) for number in range(5, 25)]
    assert [path.name for path in log.file.parent.iterdir()] == ["speeds.json"]


@pytest.mark.parametrize("content", ["", "[]", "{", '{"runs": [1]}', '{"runs": [{"key": {"x": 1}}]}', "\xff"])
def test_step_time_log_treats_damaged_file_as_empty(log: StepTimeLog, content: str) -> None:
    log.file.parent.mkdir()
    log.file.write_bytes(content.encode("latin-1"))
    assert log.runs() == ()
    log.record(StepTiming(KEY, 1.0, 2.0, SIZE))
    assert log.correction(KEY, SIZE) == TimeCorrection(2.0, measured=True)


def test_step_time_log_ignores_unwritable_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    log = StepTimeLog(tmp_path / "file" / "speeds.json")
    log.record(StepTiming(KEY, 1.0, 2.0, SIZE))
    assert log.runs() == ()
