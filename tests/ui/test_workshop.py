"""Sessions do not know of each other, work can be stopped, results expire."""

import os
from pathlib import Path

import pytest

from ui.workshop import Workshop


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    """A workshop whose results expire after a minute."""
    return Workshop(tmp_path / "results", kept_s=60)


def test_a_session_stops_its_own_work_only(workshop: Workshop) -> None:
    mine, other = workshop.open_job("me"), workshop.open_job("you")
    workshop.stop("you")
    own, others = workshop.token("me", mine), workshop.token("you", other)
    assert own is not None and not own.cancelled
    assert others is not None and others.cancelled


def test_a_job_is_known_to_its_session_only(workshop: Workshop) -> None:
    job = workshop.open_job("me")
    assert workshop.token("you", job) is None
    workshop.close_job("you", job)
    assert workshop.token("me", job) is not None


def test_work_ends_when_the_visitor_leaves(workshop: Workshop) -> None:
    job = workshop.open_job("me")
    token = workshop.token("me", job)
    workshop.leave("me")
    assert token is not None and token.cancelled
    assert workshop.token("me", job) is None


def test_results_lie_in_a_folder_for_each_session(workshop: Workshop) -> None:
    first, second, other = (workshop.new_result(name) for name in ("me", "me", "you"))
    assert first.parent.parent == second.parent.parent != other.parent.parent
    assert first.parent != second.parent and first.parent.is_dir()
    assert "me" not in first.parts
    workshop.discard(first)
    assert not first.parent.exists() and second.parent.exists()


def test_a_folder_that_cannot_be_discarded_is_logged(workshop: Workshop, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever discards has an error of their own to tell."""
    output = workshop.new_result("me")
    output.parent.rmdir()
    workshop.discard(output)
    assert f"{output.parent} is left over: there is no result" in caplog.text


def test_results_expire(workshop: Workshop) -> None:
    old, young = workshop.new_result("me"), workshop.new_result("you")
    workshop.close_result(old)
    an_hour_ago = old.parent.stat().st_mtime - 3600
    os.utime(old.parent.parent, (an_hour_ago, an_hour_ago))
    workshop.sweep()
    assert not old.parent.parent.exists() and young.parent.exists()
    assert workshop.new_result("me").parent.is_dir()


def test_an_old_result_expires_while_its_visitor_goes_on(workshop: Workshop) -> None:
    old, young = workshop.new_result("me"), workshop.new_result("me")
    workshop.close_result(old)
    an_hour_ago = old.parent.stat().st_mtime - 3600
    os.utime(old.parent, (an_hour_ago, an_hour_ago))
    workshop.sweep()
    assert not old.parent.exists() and young.parent.exists()


def test_what_is_still_waited_for_does_not_expire(tmp_path: Path) -> None:
    """A long line, or a long video: its folder is older than any result may become."""
    workshop = Workshop(tmp_path, kept_s=60.0)
    output = workshop.new_result("one")
    places = (output.parent, output.parent.parent)
    for place in places:
        os.utime(place, (1, 1))
    workshop.sweep()
    assert output.parent.is_dir()
    workshop.close_result(output)
    for place in places:
        os.utime(place, (1, 1))
    workshop.sweep()
    assert not output.parent.exists()
