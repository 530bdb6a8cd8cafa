"""Actions of a visitor in the browser, and the states that the page shows meanwhile."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.ui.serving import Served

CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WAIT_MS = 60_000
BLINK_MS, POLL_MS = 200, 50
TRIES = WAIT_MS // BLINK_MS
PLAYS = """async (place) => {
    const video = document.querySelector(place + ' video');
    video.muted = true;
    await video.play();
    const from = video.currentTime;
    for (let i = 0; i < 100 && video.currentTime === from; i++) await new Promise(r => setTimeout(r, 50));
    return {moved: video.currentTime !== from, width: video.videoWidth, height: video.videoHeight,
            length: video.duration, error: video.error && video.error.message};
}"""
# Every change of the progress text and of the look; a busy test would miss some by asking.
WATCH = """() => {
    window.seen = [];
    const note = () => {
        const text = document.querySelector('#progress p')?.textContent ?? '';
        const look = document.querySelector('#preview-image img')?.src ?? '';
        const last = window.seen[window.seen.length - 1];
        if (!last || last[0] !== text || last[1] !== look) window.seen.push([text, look]);
    };
    new MutationObserver(note).observe(document.body, {subtree: true, childList: true, characterData: true,
                                                       attributes: true});
}"""


@dataclass(frozen=True)
class PageState:
    """A state of the page: the progress text, and the preview image as a URL; empty for none."""

    text: str
    preview_image: str


@contextmanager
def opened(browser: Any, app: Served) -> Iterator[Any]:
    """A new tab with the app; requests to other hosts and uncaught page errors fail the test."""
    tab = browser.new_page()
    errors: list[str] = []
    elsewhere: list[str] = []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.on("request", lambda request: elsewhere.append(request.url) if request.url.startswith("http") else None)
    tab.goto(app.address)
    tab.wait_for_selector("#photo input[type=file]", state="attached")
    tab.wait_for_selector("#ready", state="attached")
    yield tab
    tab.close()
    assert not errors
    assert all(url.startswith(app.address) for url in elsewhere)


def choose(page: Any, face: int, kind: str) -> None:
    """Choose what a face plays."""
    page.click(f"#face-{face} label:has-text('{kind}')")


def set_seconds(page: Any, seconds: float) -> None:
    """Set the result's length."""
    page.click("#options button")
    page.click("#length label:has-text('Seconds')")
    page.fill("#seconds input", str(seconds))
    page.press("#seconds input", "Tab")


def set_steps(page: Any, steps: int) -> None:
    """Set Wan's number of steps; its settings must be open.

    Settings that were opened in the same blink do not listen yet, so it is typed until the slider moves and stays.
    """
    number, slider = (f"#option-num-inference-steps input[type={kind}]" for kind in ("number", "range"))
    for _ in range(TRIES):
        page.fill(number, str(steps))
        page.press(number, "Tab")
        page.wait_for_timeout(BLINK_MS)
        if page.input_value(number) == page.input_value(slider) == str(steps):
            return
    raise AssertionError(f"the slider stays at {page.input_value(slider)}, although {steps} was typed")


def choose_wan(page: Any, steps: int) -> None:
    """Choose Wan with so many steps."""
    page.click("#engine label:has-text('Wan')")
    page.click("#wan button >> nth=0")
    set_steps(page, steps)


def record_states(page: Any) -> None:
    """Start to record the states of the page."""
    page.evaluate(WATCH)


def wait_for_state(page: Any, text: str, with_image: bool = False, timeout_ms: float = WAIT_MS) -> None:
    """Wait for a recorded state that begins with `text`, with a preview image if `with_image`."""
    found = "([text, with_image]) => window.seen.some(row => row[0].startsWith(text) && (row[1] || !with_image))"
    page.wait_for_function(found, arg=[text, with_image], polling=POLL_MS, timeout=timeout_ms)


def wait_for_other_state(page: Any, text: str, timeout_ms: float = WAIT_MS) -> None:
    """Wait for a recorded state that does not begin with `text`."""
    other = "text => window.seen.some(row => row[0] && !row[0].startsWith(text))"
    page.wait_for_function(other, arg=text, polling=POLL_MS, timeout=timeout_ms)


def seen(page: Any) -> list[PageState]:
    """The states since `record_states`."""
    return [PageState(*row) for row in page.evaluate("window.seen")]
