"""The rules of the upload registry, on files that lie in the upload folder."""

import os
from pathlib import Path

import pytest

from fantasyportrait.core.errors import RequestError
from fantasyportrait.studio.uploads import REFUSED, UploadRegistry


@pytest.fixture
def registry(tmp_path: Path) -> UploadRegistry:
    """A registry over an upload folder, for files of up to 100 bytes."""
    folder = tmp_path / "uploads"
    folder.mkdir()
    return UploadRegistry(folder, max_bytes=100)


def stored(registry: UploadRegistry, name: str = "a.png", size: int = 100) -> str:
    """A completed upload."""
    path = registry.folder / name
    path.write_bytes(bytes(size))
    registry.register([str(path)])
    return str(path)


def refused(registry: UploadRegistry, session: str, given: object) -> bool:
    """True if the registry raises its own error."""
    try:
        registry.authorize(session, given)
    except RequestError as error:
        assert str(error) == REFUSED
        return True
    return False


def test_upload_belongs_to_first_session(registry: UploadRegistry) -> None:
    path = stored(registry)
    assert registry.authorize("me", path) == registry.authorize("me", {"path": path}) == Path(path)
    assert refused(registry, "you", path) and refused(registry, "", path)


def test_same_upload_of_two_sessions_belongs_to_both(registry: UploadRegistry) -> None:
    path = stored(registry)
    registry.register([path])
    assert registry.authorize("me", path) == registry.authorize("you", path)
    assert refused(registry, "they", path)


@pytest.mark.parametrize("given", [None, 3, b"a", [], {}, {"path": None}, "", "a" * 5000, "\0", "a.png", object()])
def test_registry_refuses_non_upload(registry: UploadRegistry, given: object) -> None:
    stored(registry)
    assert refused(registry, "me", given)


def test_registry_refuses_replaced_upload(registry: UploadRegistry, tmp_path: Path) -> None:
    """A link, another folder's file under a link, a larger file, a folder, nothing."""
    other = tmp_path / "other.png"
    other.write_bytes(b"x")
    link, larger, folder, gone = (stored(registry, name) for name in ("link", "larger", "folder", "gone"))
    for path in (link, folder, gone):
        os.unlink(path)
    os.symlink(other, link)
    os.mkdir(folder)
    Path(larger).write_bytes(bytes(101))
    (registry.folder / "linked").symlink_to(tmp_path)
    outside = str(registry.folder / "linked" / "other.png")
    registry.register([outside, str(other)])
    assert all(refused(registry, "me", path) for path in (link, larger, folder, gone, outside, str(other)))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_registry_refuses_named_pipe_without_blocking(registry: UploadRegistry) -> None:
    path = stored(registry)
    os.unlink(path)
    os.mkfifo(path)
    assert refused(registry, "me", path)


def test_registry_forgets_expired_uploads(registry: UploadRegistry) -> None:
    mine, other, kept = (stored(registry, name) for name in ("mine", "other", "kept"))
    registry.authorize("me", mine)
    registry.authorize("me", kept)
    os.unlink(mine)
    os.unlink(other)
    registry.remove_expired()
    Path(mine).write_bytes(b"somebody else's")
    assert not registry.owns("me", mine) and not registry.owns("me", other) and registry.owns("me", kept)
