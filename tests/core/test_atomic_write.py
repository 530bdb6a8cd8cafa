"""Atomic writes: a file or folder appears whole or not at all."""

import os
from pathlib import Path

import pytest

from fantasyportrait.core.atomic_write import atomic_write, output_errors
from fantasyportrait.core.errors import OutputError


@pytest.mark.parametrize("before", [None, "old"])
def test_file_appears_only_at_the_end(before: str | None, tmp_path: Path) -> None:
    path = tmp_path / "result.txt"
    if before is not None:
        path.write_text(before)
    with atomic_write(path) as made:
        made.write_text("new")
        assert made.name == path.name and (path.read_text() if path.exists() else None) == before
    assert path.read_text() == "new" and os.listdir(tmp_path) == ["result.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OSError])
def test_error_restores_previous_state(error: type[BaseException], tmp_path: Path) -> None:
    path = tmp_path / "result.txt"
    path.write_text("old")
    with pytest.raises(error), atomic_write(path) as made:
        made.write_text("half")
        raise error
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["result.txt"]


def test_a_folder_replaces_only_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "theirs").touch()
    for name in ("absent", "empty"):
        with atomic_write(tmp_path / name) as made:
            made.mkdir()
            (made / "ours").touch()
        assert os.listdir(tmp_path / name) == ["ours"]
    with pytest.raises(OSError), atomic_write(tmp_path / "full") as made:
        made.mkdir()
    assert os.listdir(tmp_path / "full") == ["theirs"]
    assert sorted(os.listdir(tmp_path)) == ["absent", "empty", "full"]


def test_two_writers_of_one_file_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "result.txt"
    with atomic_write(path) as first:
        first.write_text("first")
        with atomic_write(path) as second:
            second.write_text("second")
        assert path.read_text() == "second" and first.read_text() == "first"
    assert path.read_text() == "first" and os.listdir(tmp_path) == ["result.txt"]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(28, "No space left on device"), "the disk is full; free some space"),
        (FileNotFoundError(2, "No such file"), "the folder .* does not exist; make it first"),
        (PermissionError(13, "Permission denied"), "Permission denied; choose another place"),
    ],
)
def test_an_error_of_the_disk_names_the_file(error: OSError, words: str, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=f"cannot write .*a.mp4: {words}"), output_errors(tmp_path / "a.mp4"):
        raise error
