"""The disk cache: eviction, damage, full disks."""

import os
import time
from functools import partial
from pathlib import Path

import pytest

from fantasyportrait.core.disk_cache import DiskCache, content_key
from fantasyportrait.core.locked_folder import WORK_PREFIX, locked_folder


def write(text: str, entry: Path) -> None:
    (entry / "text").write_text(text)


def read(entry: Path) -> str:
    return (entry / "text").read_text()


def test_stored_entry_is_found_and_complete(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path / "cache")
    assert cache.load("key", read) is None
    cache.store("key", partial(write, "hello"))
    assert cache.load("key", read) == "hello"
    assert [entry.name for entry in cache.folder.iterdir()] == ["key"]


def test_a_full_disk_costs_only_the_cache(tmp_path: Path) -> None:
    def full(entry: Path) -> None:
        write("half", entry)
        raise OSError(28, "No space left on device")

    cache = DiskCache(tmp_path)
    cache.store("key", full)
    assert list(tmp_path.iterdir()) == []


def test_entry_limit_evicts_least_recently_used(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, entries=3)
    for age, key in enumerate("cba"):
        cache.store(key, partial(write, key))
        used = time.time() - 1000 - age
        os.utime(tmp_path / key, (used, used))
    assert cache.load("b", read) == "b"  # used now
    DiskCache(tmp_path, entries=2).store("new", partial(write, "new"))
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["b", "new"]


def test_the_key_follows_facts_and_bytes() -> None:
    assert len({content_key("1", "a"), content_key("1", "b"), content_key("2", "a")}) == 3
    assert content_key("1", "a") == content_key("1", "a")


def test_byte_limit_evicts_least_recently_used(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path)
    for age, key in enumerate("dcba"):
        cache.store(key, partial(write, key * 1000))
        used = time.time() - 1000 - age
        os.utime(tmp_path / key, (used, used))
    DiskCache(tmp_path, max_bytes=3500).store("new", partial(write, "n" * 1000))
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["c", "d", "new"]
    DiskCache(tmp_path, max_bytes=500).store("large", partial(write, "l" * 1000))
    assert list(tmp_path.iterdir()) == []


def test_unused_entry_expires(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, expiry_s=100)
    for key, age in (("old", 200), ("young", 50), ("older", 300)):
        cache.store(key, partial(write, key))
        os.utime(tmp_path / key, (time.time() - age, time.time() - age))
    assert cache.load("old", read) is None
    assert cache.load("young", read) == "young"
    cache.store("new", partial(write, "new"))
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["new", "young"]


def test_stale_folders_are_removed_and_active_ones_kept(tmp_path: Path) -> None:
    dead = tmp_path / f"{WORK_PREFIX}0123456789ab"
    dead.mkdir()
    (dead / "owner.lock").touch()
    with locked_folder(tmp_path) as busy:
        DiskCache(tmp_path, entries=1).store("key", partial(write, "key"))
        assert sorted(entry.name for entry in tmp_path.iterdir()) == [busy.name, "key"]


@pytest.mark.parametrize("damage", ["byte", "more", "fewer", "sums"])
def test_an_entry_that_was_changed_is_removed(tmp_path: Path, damage: str) -> None:
    cache = DiskCache(tmp_path)
    cache.store("key", partial(write, "hello"))
    entry = tmp_path / "key"
    if damage == "byte":
        (entry / "text").write_text("hallo")
    elif damage == "more":
        (entry / "another").write_text("")
    elif damage == "fewer":
        (entry / "text").unlink()
    else:
        (entry / "sha256.json").write_text("[1]")
    assert cache.load("key", read) is None
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_write_leaves_nothing(tmp_path: Path) -> None:
    def interrupted(entry: Path) -> None:
        write("half", entry)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        DiskCache(tmp_path).store("key", interrupted)
    assert list(tmp_path.iterdir()) == []
