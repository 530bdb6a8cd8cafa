"""Links to single results: made once, taken back, and removed with the result."""

import shutil
from pathlib import Path

import pytest

from fantasyportrait.core.errors import RequestError
from fantasyportrait.studio.job_inputs import VIDEO_NAME
from fantasyportrait.studio.session_store import RESULTS, Session, SessionStore
from fantasyportrait.studio.shared_links import SharedLinks

JOB = "a" * 32


@pytest.fixture
def links(tmp_path: Path) -> SharedLinks:
    return SharedLinks(tmp_path / "shared", SessionStore(tmp_path / "sessions", 60))


@pytest.fixture
def session(links: SharedLinks) -> Session:
    """A session with a result."""
    found = links._sessions.find(links._sessions.create())
    assert found is not None
    folder = found.path(f"{RESULTS}/{JOB}")
    folder.mkdir()
    (folder / VIDEO_NAME).write_text("video", encoding="utf-8")
    return found


def shared(links: SharedLinks) -> list[Path]:
    return sorted(links.folder.rglob(VIDEO_NAME))


def test_link_is_random_and_made_once(links: SharedLinks, session: Session) -> None:
    links.make(session, JOB)
    url = links.find(session, JOB)
    links.make(session, JOB)
    assert links.find(session, JOB) == url and len(shared(links)) == 1
    assert shared(links)[0].read_text(encoding="utf-8") == "video"
    links.take_back(session, JOB)
    links.make(session, JOB)
    assert links.find(session, JOB) not in (None, url)


def test_result_that_is_gone_is_refused(links: SharedLinks, session: Session) -> None:
    with pytest.raises(RequestError, match="not here any more"):
        links.make(session, "b" * 32)
    assert not shared(links) and links.find(session, "b" * 32) is None
    links.take_back(session, "b" * 32)


@pytest.mark.parametrize("gone", ["result", "session"])
def test_link_goes_with_its_result_and_its_session(links: SharedLinks, session: Session, gone: str) -> None:
    links.make(session, JOB)
    links.remove_unowned()
    assert shared(links)
    shutil.rmtree(session.path(f"{RESULTS}/{JOB}") if gone == "result" else session.folder)
    links.remove_unowned()
    assert not list(links.folder.iterdir())
