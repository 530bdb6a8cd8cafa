"""Times of past runs: kept, bounded, and never in the way."""

from dataclasses import replace
from pathlib import Path

import pytest

from fantasyportrait.planning.estimate import Factor
from fantasyportrait.planning.speed_log import Run, RunKey, SpeedLog

KEY = RunKey("A Card", "stream", "wan-480p", "bfloat16", "native", False, "none")
SIZE = 10**6


@pytest.fixture
def log(tmp_path: Path) -> SpeedLog:
    """A log in a folder that is not there yet."""
    return SpeedLog(tmp_path / "cache" / "speeds.json")


def test_the_median_of_the_last_runs_counts(log: SpeedLog) -> None:
    assert log.factor(KEY, SIZE) == Factor(1.0, measured=False)
    for measured in (50.0, 50.0, 1.0, 2.0, 3.0, 2.0, 9.0):
        log.record(Run(KEY, 2.0, measured, SIZE))
    assert log.factor(KEY, SIZE) == Factor(1.0, measured=True)  # of 0.5, 1, 1.5, 1, 4.5
    assert log.runs()[-1] == Run(KEY, 2.0, 9.0, SIZE)


def test_other_profiles_of_the_device_count_where_this_one_never_ran(log: SpeedLog) -> None:
    log.record(Run(KEY, 2.0, 3.0, SIZE))
    assert log.factor(replace(KEY, profile="nf4"), SIZE) == Factor(1.5, measured=False)
    for other in ({"device": "B"}, {"precision": "float16"}, {"cache": "mag"}, {"processes": 2}):
        assert log.factor(replace(KEY, **other), SIZE) == Factor()


def test_a_run_of_another_size_tells_nothing(log: SpeedLog) -> None:
    log.record(Run(KEY, 2.0, 9.0, SIZE // 10))
    assert log.factor(KEY, SIZE) == Factor() and log.factor(KEY, SIZE // 20).measured


def test_twenty_are_kept_and_impossible_ones_are_not(log: SpeedLog) -> None:
    for number in range(25):
        log.record(Run(replace(KEY, model=str(number)), 1.0, 1.0, SIZE))
    log.record(Run(KEY, 0.0, 1.0, SIZE))
    assert [run.key.model for run in log.runs()] == [str(number) for number in range(5, 25)]
    assert [path.name for path in log.file.parent.iterdir()] == ["speeds.json"]


@pytest.mark.parametrize("content", ["", "[]", "{", '{"runs": [1]}', '{"runs": [{"key": {"x": 1}}]}', "\xff"])
def test_a_damaged_file_is_an_empty_one(log: SpeedLog, content: str) -> None:
    log.file.parent.mkdir()
    log.file.write_bytes(content.encode("latin-1"))
    assert log.runs() == ()
    log.record(Run(KEY, 1.0, 2.0, SIZE))
    assert log.factor(KEY, SIZE) == Factor(2.0, measured=True)


def test_a_folder_that_cannot_be_written_costs_only_the_log(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    log = SpeedLog(tmp_path / "file" / "speeds.json")
    log.record(Run(KEY, 1.0, 2.0, SIZE))
    assert log.runs() == ()
