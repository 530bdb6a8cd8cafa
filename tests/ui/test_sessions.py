"""Sessions are separate, jobs can be stopped, results expire."""

import os
from pathlib import Path

import pytest

from ui.sessions import SessionManager


@pytest.fixture
def sessions(tmp_path: Path) -> SessionManager:
    """A session manager whose results expire after a minute."""
    return SessionManager(tmp_path / "results", expiry_s=60)


def test_session_stops_own_work_only(sessions: SessionManager) -> None:
    mine, other = sessions.open_job("me"), sessions.open_job("you")
    sessions.stop("you")
    own, others = sessions.token("me", mine), sessions.token("you", other)
    assert own is not None and not own.cancelled
    assert others is not None and others.cancelled


def test_session_knows_own_jobs_only(sessions: SessionManager) -> None:
    job = sessions.open_job("me")
    assert sessions.token("you", job) is None
    sessions.close_job("you", job)
    assert sessions.token("me", job) is not None


def test_session_end_stops_its_work(sessions: SessionManager) -> None:
    job = sessions.open_job("me")
    token = sessions.token("me", job)
    sessions.leave("me")
    assert token is not None and token.cancelled
    assert sessions.token("me", job) is None


def test_session_results_have_own_folder(sessions: SessionManager) -> None:
    first, second, other = (sessions.new_result(name) for name in ("me", "me", "you"))
    assert first.parent.parent == second.parent.parent != other.parent.parent
    assert first.parent != second.parent and first.parent.is_dir()
    assert "me" not in first.parts
    sessions.discard(first)
    assert not first.parent.exists() and second.parent.exists()


def test_session_logs_folder_it_cannot_remove(sessions: SessionManager, caplog: pytest.LogCaptureFixture) -> None:
    """The caller reports its own error, so this one is logged."""
    output = sessions.new_result("me")
    output.parent.rmdir()
    sessions.discard(output)
    assert f"{output.parent} is left over: there is no result" in caplog.text


def test_session_results_expire(sessions: SessionManager) -> None:
    old, young = sessions.new_result("me"), sessions.new_result("you")
    sessions.close_result(old)
    an_hour_ago = old.parent.stat().st_mtime - 3600
    os.utime(old.parent.parent, (an_hour_ago, an_hour_ago))
    sessions.remove_expired()
    assert not old.parent.parent.exists() and young.parent.exists()
    assert sessions.new_result("me").parent.is_dir()


def test_old_result_expires_in_active_session(sessions: SessionManager) -> None:
    old, young = sessions.new_result("me"), sessions.new_result("me")
    sessions.close_result(old)
    an_hour_ago = old.parent.stat().st_mtime - 3600
    os.utime(old.parent, (an_hour_ago, an_hour_ago))
    sessions.remove_expired()
    assert not old.parent.exists() and young.parent.exists()


def test_unfinished_result_does_not_expire(tmp_path: Path) -> None:
    """A queued or running job may be older than the expiry time."""
    sessions = SessionManager(tmp_path, expiry_s=60.0)
    output = sessions.new_result("one")
    places = (output.parent, output.parent.parent)
    for place in places:
        os.utime(place, (1, 1))
    sessions.remove_expired()
    assert output.parent.is_dir()
    sessions.close_result(output)
    for place in places:
        os.utime(place, (1, 1))
    sessions.remove_expired()
    assert not output.parent.exists()
