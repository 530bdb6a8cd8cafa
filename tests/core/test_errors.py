"""Errors that a user can fix, optional packages, and the cancel token."""

import threading

import pytest

from fantasyportrait.core import errors
from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.optional import check_installed, require


def test_every_error_has_an_exit_code_of_its_own() -> None:
    kinds = errors.FantasyPortraitError.__subclasses__()
    codes = [kind.exit_code for kind in kinds]
    assert len(set(codes)) == len(kinds) and 0 not in codes
    assert errors.Cancelled.exit_code == 130
    assert all(kind.__doc__ for kind in kinds)


def test_a_missing_package_is_named_with_its_extra() -> None:
    with pytest.raises(errors.DependencyError, match=r'moon needs the package nosuch.*"fantasyportrait\[moon\]"'):
        require("nosuch.module", extra="moon", purpose="moon")


def test_a_present_package_is_imported() -> None:
    assert require("json", extra="none", purpose="reading").loads("1") == 1


def test_a_token_stops_work_from_another_thread() -> None:
    token = CancelToken()
    token.check()
    thread = threading.Thread(target=token.cancel)
    thread.start()
    thread.join()
    assert token.cancelled
    with pytest.raises(errors.Cancelled, match="nothing was written"):
        token.check()


def test_a_package_is_looked_for_without_importing_it() -> None:
    check_installed("wave", extra="none", purpose="a test")
    with pytest.raises(errors.DependencyError, match=r'pip install "fantasyportrait\[wan\]"'):
        check_installed("no_such_package", extra="wan", purpose="a test")
