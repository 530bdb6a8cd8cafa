"""Two visitors of one app in a real Chromium: each has a scene, a place in the queue and a video of their own."""

from pathlib import Path
from typing import Any

import pytest

from tests.ui.browsing import (
    animate,
    choose_example,
    choose_kind,
    choose_motion,
    choose_photo,
    chosen,
    reload,
    set_seconds,
    visiting,
    wait_for_job,
    wait_for_result,
)
from tests.ui.serving import Served

pytestmark = pytest.mark.browser


def test_each_visitor_has_own_scene(page: Any, browser: Any, app: Served, two_person: Path) -> None:
    choose_photo(page, two_person, faces=2)
    choose_motion(page, 1, "wink")
    with visiting(browser, app) as other:
        other.wait_for_selector("#example")
        choose_photo(other, two_person, faces=2)
        choose_kind(other, 1, "still")
        sessions = {tab.get_attribute(".picture img.photo", "src").split("/")[1] for tab in (page, other)}
        assert len(sessions) == 2
        reload(page)
        page.wait_for_selector("input[name=motion-1]", state="attached")
        assert chosen(page, "motion-1") == "wink" and chosen(other, "kind-1") == "still"


def test_second_visitor_waits_in_queue_and_gets_video(page: Any, browser: Any, app: Served) -> None:
    choose_example(page)
    set_seconds(page, 60)
    animate(page)
    wait_for_job(page)
    with visiting(browser, app) as other:
        choose_example(other)
        set_seconds(other, 0.2)
        animate(other)
        other.wait_for_selector(".job-progress >> text=/queue/i")
        assert other.locator("#result video").count() == 0
        page.bring_to_front()
        page.click(".job-progress .stop")
        page.wait_for_selector(".job-progress", state="detached")
        other.bring_to_front()
        assert wait_for_result(other)["moved"]
        assert page.locator(".library .result").count() == 0
