"""A cache that is never in the way."""

import os
from functools import partial
from pathlib import Path

import pytest

from fantasyportrait.core.errors import MediaError
from fantasyportrait.core.shelf import Shelf, content_key


def write(text: str, entry: Path) -> None:
    (entry / "text").write_text(text)


def read(entry: Path) -> str:
    return (entry / "text").read_text()


def test_what_is_stored_is_found_and_nothing_half_is_left(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "shelf")
    assert shelf.load("key", read) is None
    shelf.store("key", partial(write, "hello"))
    assert shelf.load("key", read) == "hello"
    assert [entry.name for entry in shelf.folder.iterdir()] == ["key"]


def test_a_full_disk_costs_only_the_cache(tmp_path: Path) -> None:
    def full(entry: Path) -> None:
        write("half", entry)
        raise OSError(28, "No space left on device")

    shelf = Shelf(tmp_path)
    shelf.store("key", full)
    assert list(tmp_path.iterdir()) == []


def test_those_used_longest_ago_go(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, entries=3)
    for age, key in enumerate("cba"):
        shelf.store(key, partial(write, key))
        os.utime(tmp_path / key, (1000 - age, 1000 - age))
    assert shelf.load("b", read) == "b"  # used now
    Shelf(tmp_path, entries=2).store("new", partial(write, "new"))
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["b", "new"]


def test_the_key_follows_facts_and_bytes(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"1")
    keys = {content_key(file, "a"), content_key(file, "b")}
    file.write_bytes(b"2")
    assert len(keys | {content_key(file, "a")}) == 3
    with pytest.raises(MediaError, match="cannot read"):
        content_key(tmp_path / "gone", "a")
