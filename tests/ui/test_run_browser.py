"""A run in a real Chromium: from Animate to the video, the stop, and what is refused."""

from pathlib import Path
from typing import Any

import pytest

from tests.ui.browsing import (
    animate,
    choose,
    choose_example,
    choose_kind,
    choose_motion,
    choose_photo,
    error_text,
    give_clip,
    open_options,
    record,
    recorded,
    set_seconds,
    wait_for_job,
    wait_for_result,
)

pytestmark = pytest.mark.browser


def test_motion_and_clip_become_video_that_plays(page: Any, two_person: Path, clips: dict[str, Path]) -> None:
    choose_photo(page, two_person, faces=2)
    choose_motion(page, 1, "smile")
    give_clip(page, 2, clips["two"])
    choose(page, "person-2", "2")
    set_seconds(page, 0.4)
    animate(page)
    wait_for_job(page)
    result = wait_for_result(page)
    assert result["moved"] and result["error"] is None
    assert (result["width"], result["height"]) == (1024, 576) and abs(result["length"] - 0.4) < 0.1
    with page.expect_download() as download:
        page.click("#result a[download] >> nth=0")
    assert download.value.suggested_filename.endswith(".mp4")


def test_result_stays_until_visitor_goes_back_to_photo(page: Any) -> None:
    choose_example(page)
    set_seconds(page, 0.2)
    animate(page)
    wait_for_result(page)
    page.click("#result >> text=Back to the photo")
    page.wait_for_selector(".picture .face")
    page.click(".library .result >> nth=0")
    page.wait_for_selector("#result video")


def test_running_job_shows_progress_and_is_stopped(page: Any) -> None:
    choose_example(page)
    set_seconds(page, 60)
    record(page, ".job-progress .bar p")
    animate(page)
    wait_for_job(page)
    page.wait_for_function("window.recorded.length > 1")
    page.click(".job-progress .stop")
    page.wait_for_selector(".job-progress", state="detached")
    page.wait_for_selector("#animate:enabled")
    assert page.locator("#result video, .library .result").count() == 0
    assert len(recorded(page)) > 1
    # The choices stay, and are still good for a video.
    set_seconds(page, 0.2)
    animate(page)
    wait_for_result(page)


@pytest.mark.parametrize("seconds", ["100000", "0", "-3"])
def test_length_out_of_range_is_refused_at_run_bar(scene_page: Any, seconds: str) -> None:
    open_options(scene_page)
    choose(scene_page, "length", "seconds")
    scene_page.fill("#seconds", seconds)
    scene_page.press("#seconds", "Tab")
    animate(scene_page)
    assert "seconds" in error_text(scene_page, ".run").lower() or "length" in error_text(scene_page, ".run").lower()
    scene_page.wait_for_selector("#animate:enabled")


def test_cast_without_movement_is_refused(scene_page: Any) -> None:
    set_seconds(scene_page, 0.2)
    for face in (1, 2):
        choose_kind(scene_page, face, "still")
    animate(scene_page)
    scene_page.wait_for_selector(".run [role=alert] >> text=/still/i")
    choose_kind(scene_page, 1, "clip")
    animate(scene_page)
    scene_page.wait_for_selector(".run [role=alert] >> text=/Face 1/i")
    choose_kind(scene_page, 1, "motion")
    animate(scene_page)
    wait_for_result(scene_page)
    assert scene_page.locator(".run [role=alert]").count() == 0


def test_file_that_is_no_clip_is_refused_at_its_card(page: Any, two_person: Path, tmp_path: Path) -> None:
    choose_photo(page, two_person, faces=2)
    choose_kind(page, 1, "clip")
    letter = tmp_path / "letter.mp4"
    letter.write_text("Dear reader", encoding="utf-8")
    page.set_input_files("#card-1 input[type=file] >> nth=0", letter)
    assert "letter.mp4" in error_text(page, "#card-1")
    assert page.locator("#card-2 [role=alert]").count() == 0
