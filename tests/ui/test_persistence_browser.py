"""The session in a real Chromium: it outlives the tab, the browser, the connection and the server."""

import os
import re
import signal
import subprocess
import sys
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
    chosen,
    new_context,
    open_options,
    opened,
    reload,
    set_seconds,
    visiting,
    wait_for_faces,
    wait_for_job,
    wait_for_result,
    wait_until_ready,
    wait_until_saved,
)
from tests.ui.serving import Served, free_port, wait_for

pytestmark = pytest.mark.browser


def cast_scene(page: Any, photo: Path) -> None:
    """Two people: the first winks, the second is still."""
    choose_photo(page, photo, faces=2)
    choose_motion(page, 1, "wink")
    choose_kind(page, 2, "still")
    set_seconds(page, 0.2)
    wait_until_saved(page)


def has_scene(page: Any) -> bool:
    """Whether the page shows what `cast_scene` chose."""
    wait_until_ready(page)
    wait_for_faces(page, 2)
    choices = [chosen(page, name) for name in ("motion-1", "kind-2", "length")]
    return choices == ["wink", "still", "seconds"] and page.input_value("#seconds") == "0.2"


def test_scene_survives_reload(page: Any, two_person: Path) -> None:
    cast_scene(page, two_person)
    reload(page)
    assert has_scene(page)
    reload(page)
    assert has_scene(page)


def test_answer_of_server_leaves_what_is_being_typed(page: Any) -> None:
    choose_example(page)
    open_options(page)
    choose(page, "length", "seconds")
    page.fill("#seconds", "0.7")
    # A click without the focus: the visitor is still typing.
    page.eval_on_selector("input[name=motion-1][value=nod]", "button => button.click()")
    wait_until_saved(page)
    assert page.input_value("#seconds") == "0.7"
    page.press("#seconds", "Tab")
    reload(page)
    assert page.input_value("#seconds") == "0.7"


def test_second_tab_shows_same_scene_and_learns_of_changes(browser: Any, app: Served, two_person: Path) -> None:
    context = new_context(browser)
    with opened(context, app) as first:
        cast_scene(first, two_person)
        with opened(context, app) as second:
            assert has_scene(second)
            choose_motion(second, 1, "nod")
            first.bring_to_front()
            first.wait_for_selector("input[name=motion-1][value=nod]:checked", state="attached")
    context.close()


def test_browser_that_was_closed_finds_scene_again(browser: Any, app: Served, two_person: Path) -> None:
    context = new_context(browser)
    with opened(context, app) as page:
        cast_scene(page, two_person)
    kept = context.storage_state()
    context.close()
    with visiting(browser, app, storage_state=kept) as page:
        assert has_scene(page)


def test_result_and_running_job_survive_reload(page: Any, two_person: Path) -> None:
    cast_scene(page, two_person)
    animate(page)
    wait_for_result(page)
    set_seconds(page, 60)
    animate(page)
    wait_for_job(page)
    reload(page)
    wait_for_job(page)
    assert page.locator(".library .result").count() == 1
    page.click(".job-progress .stop")
    page.wait_for_selector(".job-progress", state="detached")


def test_page_of_expired_session_begins_again(page: Any) -> None:
    choose_example(page)
    expired: list[Any] = []

    def answer(route: Any) -> None:
        if '"act"' not in route.request.post_data or expired:
            return route.continue_()
        expired.append(route)
        return route.fulfill(json={"unknown": "session"})

    page.route(re.compile("/component_server"), answer)
    with page.expect_navigation():
        choose_motion(page, 1, "nod")
    wait_until_ready(page)


def test_file_on_its_way_keeps_browser_from_closing(page: Any, two_person: Path) -> None:
    held: list[Any] = []
    page.route("**/upload*", lambda route: held.append(route))
    page.set_input_files("#photo-file", two_person)
    page.wait_for_selector(".studio[data-saving]")
    asked = page.evaluate("!window.dispatchEvent(new Event('beforeunload', {cancelable: true}))")
    held[0].continue_()
    wait_for_faces(page, 2)
    wait_until_saved(page)
    assert asked and page.evaluate("window.dispatchEvent(new Event('beforeunload', {cancelable: true}))")


def test_lost_connection_is_named_and_nothing_is_lost(page: Any, two_person: Path) -> None:
    cast_scene(page, two_person)
    page.context.set_offline(True)
    choose_motion(page, 1, "nod")
    page.wait_for_selector(".offline[role=alert]")
    assert chosen(page, "motion-1") == "nod"
    page.context.set_offline(False)
    page.wait_for_selector(".offline", state="detached")
    reload(page)
    wait_for_faces(page, 2)
    assert chosen(page, "motion-1") == "nod"


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_open_page_goes_on_after_server_restart(
    browser: Any, tmp_path: Path, repository: Path, two_person: Path, models_dir: Path
) -> None:
    port = free_port()
    served = Served(f"http://127.0.0.1:{port}", tmp_path / "results")
    command = [sys.executable, "app.py", "--port", str(port), "--results", str(served.results)]
    environment = {**os.environ, "GRADIO_TEMP_DIR": str(tmp_path / "uploads")}

    def start() -> "subprocess.Popen[bytes]":
        with (tmp_path / "log.txt").open("ab") as log:
            process = subprocess.Popen(command, cwd=repository, env=environment, stdout=log, stderr=log)
        wait_for(served.address, process, tmp_path / "log.txt")
        return process

    process = start()
    try:
        with visiting(browser, served) as page:
            cast_scene(page, two_person)
            process.send_signal(signal.SIGKILL)
            process.wait()
            page.wait_for_selector(".offline[role=alert]")
            process = start()
            page.wait_for_selector(".offline", state="detached")
            choose_kind(page, 2, "motion")
            choose_motion(page, 2, "smile")
            animate(page)
            assert wait_for_result(page)["moved"]
    finally:
        process.kill()
        process.wait()
