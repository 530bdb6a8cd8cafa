"""The results folder."""

import os
from pathlib import Path

import pytest

from fantasyportrait.core.errors import OutputError, RequestError
from fantasyportrait.service.history import History


def _result(history: History, created_s: float, side: bool = True) -> Path:
    video = history.new()
    video.write_bytes(b"v")
    (video.parent / "result.mp4.request.json").write_text("{}")
    if side:
        (video.parent / "result.mp4.side-by-side.mp4").write_bytes(b"s")
    os.utime(video, (created_s, created_s))
    os.utime(video.parent, (created_s, created_s))
    return video


def test_history_lists_finished_results_newest_first(tmp_path: Path) -> None:
    history = History(tmp_path / "results")
    assert history.entries() == ()
    old, new = _result(history, 1000), _result(history, 2000, side=False)
    history.new()
    entries = history.entries()
    assert [entry.video for entry in entries] == [new, old]
    assert [entry.side_by_side is None for entry in entries] == [True, False]
    assert entries[0].created_s == 2000


def test_history_deletes_and_expires_results(tmp_path: Path) -> None:
    history = History(tmp_path)
    old, new = _result(history, 1000), _result(history, 2000)
    kept = tmp_path / "holiday"
    kept.mkdir()
    os.utime(kept, (0, 0))
    assert history.expire(500, now_s=2000) == 1
    assert not old.parent.exists()
    history.delete(new.parent.name)
    assert history.entries() == ()
    assert kept.is_dir()


@pytest.mark.parametrize("name", ["..", "holiday", "", "0" * 32, "../" + "a" * 29])
def test_history_delete_refuses_non_ids(tmp_path: Path, name: str) -> None:
    (tmp_path / "results" / "holiday").mkdir(parents=True)
    with pytest.raises(RequestError, match="there is no result"):
        History(tmp_path / "results").delete(name)
    assert (tmp_path / "results" / "holiday").is_dir()


def test_history_refuses_unusable_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be used"):
        History(tmp_path / "file").new()
