"""Sessions: a token leads to its folder, another text to nothing; they survive a restart, and expire."""

import os
import stat
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from fantasyportrait.core.errors import OutputError
from fantasyportrait.studio.session_store import STATE, Session, SessionStore, keep_upload
from fantasyportrait.studio.state import Card, SessionState


@pytest.fixture
def store(tmp_path: Path) -> SessionStore:
    """Sessions that expire after a minute."""
    return SessionStore(tmp_path / "sessions", expiry_s=60)


def session_of(store: SessionStore, token: str) -> Session:
    """The session of a token, which is there."""
    session = store.find(token)
    assert session is not None
    return session


def test_token_opens_its_session_alone(store: SessionStore) -> None:
    first, second = store.create(), store.create()
    assert session_of(store, first) is session_of(store, first)
    assert session_of(store, first).id != session_of(store, second).id
    assert first not in str(session_of(store, first).folder)


@pytest.mark.parametrize("token", ["", None, 1, "x" * 32, "../../etc", "x" * 10_000, ["a"], b"x" * 32])
def test_other_token_opens_nothing(store: SessionStore, token: object) -> None:
    own = store.create()
    assert store.find(token) is None
    assert store.find(session_of(store, own).id) is None, "the name of the folder is no token"
    assert store.find(own.lower() if own != own.lower() else own.upper()) is None


def test_session_survives_restart(store: SessionStore) -> None:
    token = store.create()
    session_of(store, token).update(lambda state: state.with_card(2, Card(motion="wink")))
    again = SessionStore(store.folder, expiry_s=60)
    assert session_of(again, token).state.card(2).motion == "wink"
    assert [session.id for session in again.all()] == [session_of(store, token).id]


def test_damaged_session_begins_empty(store: SessionStore, caplog: pytest.LogCaptureFixture) -> None:
    token = store.create()
    (session_of(store, token).folder / STATE).write_text("{", encoding="utf-8")
    assert session_of(SessionStore(store.folder, 60), token).state.photo is None
    assert "begins empty" in caplog.text


def test_refused_change_keeps_state(store: SessionStore) -> None:
    session = session_of(store, store.create())

    def refuse(state: SessionState) -> SessionState:
        raise ValueError

    before = session.version
    with pytest.raises(ValueError):
        session.update(refuse)
    assert session.version == before and session.update(lambda state: state) is session.state
    assert session.version == before, "nothing has changed"


def test_changes_of_many_threads_are_kept(store: SessionStore) -> None:
    token = store.create()
    session = session_of(store, token)

    def work(name: str) -> None:
        for number in range(20):
            added = {f"{name}{number}": True}
            session.update(lambda state, added=added: replace(state, options={**state.options, **added}))  # type: ignore[misc]

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(session_of(SessionStore(store.folder, 60), token).state.options) == 80


def test_session_expires_with_its_files(store: SessionStore) -> None:
    old, young, busy = store.create(), store.create(), store.create()
    for token in (old, busy):
        os.utime(session_of(store, token).folder, (1, 1))
    kept = session_of(store, busy).id
    folder = session_of(store, old).folder
    assert store.remove_expired(lambda session_id: session_id == kept) == [folder.name]
    assert not folder.exists() and store.find(old) is None
    assert store.find(young) is not None and store.find(busy) is not None


def test_visit_delays_expiry(store: SessionStore) -> None:
    token = store.create()
    os.utime(session_of(store, token).folder, (1, 1))
    session_of(store, token).touch()
    assert store.remove_expired() == []


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
def test_files_of_session_are_its_users_alone(store: SessionStore) -> None:
    folder = session_of(store, store.create()).folder
    assert all(not stat.S_IMODE(path.stat().st_mode) & 0o077 for path in (folder, *folder.glob("*/")))


def test_store_reports_unusable_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="the sessions cannot be kept in"):
        SessionStore(tmp_path / "file" / "sessions", 60).create()


@pytest.mark.parametrize(
    ("name", "suffix"),
    [("a.MP4", ".mp4"), ("b", ""), ("c.tar.gz", ".gz"), ("d.\u202egpj", ""), ("e.verylongsuffix", "")],
)
def test_kept_upload_has_name_of_ours(store: SessionStore, tmp_path: Path, name: str, suffix: str) -> None:
    upload = tmp_path / name
    upload.write_bytes(b"content")
    session = session_of(store, store.create())
    kept = keep_upload(session, upload, "1f")
    assert kept == f"files/1f{suffix}"
    upload.unlink()
    assert session.path(kept).read_bytes() == b"content", "it stays where the upload is removed"
