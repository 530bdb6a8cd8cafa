"""The gate's own rules, on files that lie in the upload folder."""

import os
from pathlib import Path

import pytest

from fantasyportrait.core.errors import RequestError
from ui.uploads import REFUSED, UploadGate


@pytest.fixture
def gate(tmp_path: Path) -> UploadGate:
    """A gate over an upload folder, for files of up to 100 bytes."""
    folder = tmp_path / "uploads"
    folder.mkdir()
    return UploadGate(folder, max_bytes=100)


def stored(gate: UploadGate, name: str = "a.png", size: int = 100) -> str:
    """An upload that has arrived."""
    path = gate.folder / name
    path.write_bytes(bytes(size))
    gate.arrived([str(path)])
    return str(path)


def refused(gate: UploadGate, session: str, given: object) -> bool:
    """True if the gate refuses it in its own words."""
    try:
        gate.admit(session, given)
    except RequestError as error:
        assert str(error) == REFUSED
        return True
    return False


def test_an_upload_is_its_first_sessions(gate: UploadGate) -> None:
    path = stored(gate)
    assert gate.admit("me", path) == gate.admit("me", {"path": path}) == Path(path)
    assert refused(gate, "you", path) and refused(gate, "", path)


def test_the_same_file_of_two_visitors_is_both_theirs(gate: UploadGate) -> None:
    path = stored(gate)
    gate.arrived([path])
    assert gate.admit("me", path) == gate.admit("you", path)
    assert refused(gate, "they", path)


@pytest.mark.parametrize("given", [None, 3, b"a", [], {}, {"path": None}, "", "a" * 5000, "\0", "a.png", object()])
def test_what_is_no_upload_is_refused(gate: UploadGate, given: object) -> None:
    stored(gate)
    assert refused(gate, "me", given)


def test_what_took_the_place_of_an_upload_is_refused(gate: UploadGate, tmp_path: Path) -> None:
    """A link, another folder's file under a link, a larger file, a folder, nothing."""
    other = tmp_path / "other.png"
    other.write_bytes(b"x")
    link, larger, folder, gone = (stored(gate, name) for name in ("link", "larger", "folder", "gone"))
    for path in (link, folder, gone):
        os.unlink(path)
    os.symlink(other, link)
    os.mkdir(folder)
    Path(larger).write_bytes(bytes(101))
    (gate.folder / "linked").symlink_to(tmp_path)
    outside = str(gate.folder / "linked" / "other.png")
    gate.arrived([outside, str(other)])
    assert all(refused(gate, "me", path) for path in (link, larger, folder, gone, outside, str(other)))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_a_named_pipe_is_refused_without_waiting(gate: UploadGate) -> None:
    path = stored(gate)
    os.unlink(path)
    os.mkfifo(path)
    assert refused(gate, "me", path)


def test_expired_uploads_are_forgotten(gate: UploadGate) -> None:
    mine, other, kept = (stored(gate, name) for name in ("mine", "other", "kept"))
    gate.admit("me", mine)
    gate.admit("me", kept)
    os.unlink(mine)
    os.unlink(other)
    gate.sweep()
    Path(mine).write_bytes(b"somebody else's")
    assert not gate.owns("me", mine) and not gate.owns("me", other) and gate.owns("me", kept)
