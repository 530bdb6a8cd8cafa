"""The page in Chinese in a real Chromium: texts, options, and the errors of the server."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.ui.browsing import (
    animate,
    choose_kind,
    choose_photo,
    error_text,
    open_options,
    visiting,
)
from tests.ui.serving import Served
from ui.strings import load_strings

pytestmark = pytest.mark.browser

CHINESE = re.compile("[\u4e00-\u9fff]")
ENGLISH_WORDS = re.compile(r"[A-Za-z]{3,} [A-Za-z]{2,} [A-Za-z]{2,}")


@pytest.fixture
def chinese_page(browser: Any, app: Served) -> Iterator[Any]:
    """The app for a browser that prefers Chinese."""
    with visiting(browser, app, locale="zh-CN") as tab:
        yield tab


def test_page_follows_language_of_browser(chinese_page: Any, two_person: Path) -> None:
    assert chinese_page.get_attribute("html", "lang") == "zh"
    choose_photo(chinese_page, two_person, faces=2)
    open_options(chinese_page)
    chinese_page.wait_for_selector(f"text={load_strings()['zh']['option.fill.doc']}")
    # The sentence of the estimate is made of sentences.
    estimate = chinese_page.get_attribute(".estimate", "title")
    for text in (estimate, *map(chinese_page.inner_text, ("#options", ".cast", ".top"))):
        assert CHINESE.search(text) and not ENGLISH_WORDS.search(text), text


def test_errors_of_server_are_translated(chinese_page: Any, two_person: Path) -> None:
    chinese_page.set_input_files(
        "#photo-file", {"name": "letter.png", "mimeType": "image/png", "buffer": b"Dear reader"}
    )
    refused = error_text(chinese_page, ".stage")
    assert "letter.png" in refused and CHINESE.search(refused)
    choose_photo(chinese_page, two_person, faces=2)
    for face in (1, 2):
        choose_kind(chinese_page, face, "still")
    animate(chinese_page)
    assert "静止" in error_text(chinese_page, ".run")
