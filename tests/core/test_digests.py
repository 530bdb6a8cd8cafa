"""Each version of a file is hashed once, and a change is noticed."""

import hashlib
import os
import shutil
from collections import Counter
from pathlib import Path

import pytest

from fantasyportrait.core import digests
from fantasyportrait.core.digests import FileHasher, hash_file
from fantasyportrait.core.errors import MediaError
from tests.counting_files import count_bytes_hashed


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of 3 MB."""
    path = tmp_path / "clip.mp4"
    path.write_bytes(bytes(range(256)) * 12000)
    return path


@pytest.fixture
def hashed_bytes(monkeypatch: pytest.MonkeyPatch) -> Counter[Path]:
    """How many bytes of each file are read for a digest."""
    return count_bytes_hashed(monkeypatch)


def test_a_version_is_read_once(path: Path, hashed_bytes: Counter[Path]) -> None:
    hasher = FileHasher()
    files = [hasher.hashed(path) for _ in range(3)]
    assert files[0] == files[1] == files[2]
    assert files[0].sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert not files[0].has_changed() and hashed_bytes[path] == path.stat().st_size


def test_a_changed_file_is_another_version(path: Path, tmp_path: Path) -> None:
    hasher = FileHasher()
    before = hasher.hashed(path)
    content = bytearray(path.read_bytes())
    content[7] ^= 1
    (tmp_path / "new").write_bytes(content)
    shutil.copystat(path, tmp_path / "new")  # the same size and time
    (tmp_path / "new").replace(path)
    assert before.has_changed() and hasher.hashed(path).sha256 != before.sha256
    with pytest.raises(MediaError, match=r"clip\.mp4 was changed while it was read: run the request again"):
        before.check_unchanged()
    path.unlink()
    assert before.has_changed()


def test_the_same_bytes_at_another_time_are_unchanged(path: Path, hashed_bytes: Counter[Path]) -> None:
    file = hash_file(path)
    os.utime(path, (1, 1))
    file.check_unchanged()
    assert hashed_bytes[path] == 2 * path.stat().st_size, "only reading it tells"


def test_a_file_that_grows_while_it_is_read_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = digests.read_sha256

    def growing(file: object) -> str:
        with path.open("ab") as end:
            end.write(b"more")
        return read(file)  # type: ignore[arg-type]

    monkeypatch.setattr(digests, "read_sha256", growing)
    with pytest.raises(MediaError, match="wait until it is complete"):
        hash_file(path)


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    for hashed in (hash_file, FileHasher().hashed):
        with pytest.raises(MediaError, match=r"cannot read .*gone.*; check the path"):
            hashed(tmp_path / "gone")
        with pytest.raises(MediaError, match="it is a folder"):
            hashed(tmp_path)
        with pytest.raises(MediaError, match="NUL"):
            hashed(Path("a\0b"))


def test_the_files_used_last_are_remembered(
    tmp_path: Path, hashed_bytes: Counter[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digests, "_MAX_FILES", 2)
    hasher = FileHasher()
    paths = [tmp_path / name for name in "abc"]
    for path in paths:
        path.write_bytes(b"1234")
        hasher.hashed(paths[0])
        hasher.hashed(path)
    assert [hashed_bytes[path] for path in paths] == [4, 4, 4]
    hasher.hashed(paths[1])
    assert hashed_bytes[paths[1]] == 8
