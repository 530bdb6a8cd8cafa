"""The error for a missing package says how to install it, or that this Python does not support it."""

import sys

import pytest

from fantasyportrait.core.errors import DependencyError
from fantasyportrait.core.optional import check_installed, require


def test_a_missing_package_names_its_extra() -> None:
    with pytest.raises(DependencyError, match=r'needs the package nowhere, .* pip install "fantasyportrait\[heic\]"'):
        require("nowhere.at_all", extra="heic", purpose="a test")


def test_a_package_that_is_there_is_returned() -> None:
    assert require("json", extra="wan", purpose="a test").loads("1") == 1
    check_installed("json", extra="wan", purpose="a test")


@pytest.mark.parametrize(
    ("version", "words"), [((3, 10, 4), "Python 3.11 or later.*this is Python 3.10"), ((3, 11, 0), "pip")]
)
def test_the_diffusion_engine_says_which_python_it_needs(
    monkeypatch: pytest.MonkeyPatch, version: tuple[int, ...], words: str
) -> None:
    monkeypatch.setattr(sys, "version_info", version)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DependencyError, match=words):
        check_installed("diffusers", extra="wan", purpose="the wan engine")
