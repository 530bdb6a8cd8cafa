"""Actions of a visitor in the browser, and the states of the page to wait for."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.ui.serving import Served

CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
INSECURE_HOST = "fantasyportrait.test"
"""A name of this machine that is no secure origin, as a server in a local network is."""
FLAGS = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    f"--host-resolver-rules=MAP {INSECURE_HOST} 127.0.0.1",
]
WAIT_MS = 120_000
RUN_MS = 4 * WAIT_MS
PLAYS = """async (place) => {
    const video = document.querySelector(place + ' video');
    video.muted = true;
    await video.play();
    const from = video.currentTime;
    for (let i = 0; i < 200 && video.currentTime === from; i++) await new Promise(r => setTimeout(r, 50));
    return {moved: video.currentTime !== from, width: video.videoWidth, height: video.videoHeight,
            length: video.duration, error: video.error && video.error.message};
}"""
# A quick change would be missed by a test that asks for the text now and then.
RECORD = """place => {
    window.recorded = [];
    const note = () => {
        const element = document.querySelector(place);
        const text = element ? (element.getAttribute('src') ?? element.textContent) : '';
        if (text && text !== window.recorded.at(-1)) window.recorded.push(text);
    };
    new MutationObserver(note).observe(document.body, {subtree: true, childList: true, characterData: true,
                                                       attributes: true});
    note();
}"""


def new_context(browser: Any, **given: Any) -> Any:
    """A browser context with a storage of its own, in English, whose waits are generous.

    Its visitor prefers reduced motion: a browser without a GPU is busy with loops that no test looks at.
    """
    context = browser.new_context(**{"locale": "en-US", "reduced_motion": "reduce", **given})
    context.set_default_timeout(WAIT_MS)
    return context


@contextmanager
def opened(context: Any, app: Served, address: str = "") -> Iterator[Any]:
    """A new tab with the app; requests to other hosts and uncaught page errors fail the test."""
    address = address or app.address
    tab = context.new_page()
    errors: list[str] = []
    elsewhere: list[str] = []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.on("request", lambda request: elsewhere.append(request.url) if request.url.startswith("http") else None)
    tab.goto(address)
    wait_until_ready(tab)
    yield tab
    tab.close()
    assert not errors
    assert all(url.startswith(address) for url in elsewhere)


@contextmanager
def visiting(browser: Any, app: Served, **given: Any) -> Iterator[Any]:
    """The app in the tab of a new visitor."""
    context = new_context(browser, **given)
    with opened(context, app) as tab:
        yield tab
    context.close()


def wait_until_ready(page: Any) -> None:
    """Wait until the page shows the session."""
    page.wait_for_selector(".studio[data-ready]")


def wait_until_saved(page: Any) -> None:
    """Wait until the server has every choice: the page shows a choice before it is sent."""
    page.wait_for_selector(".studio:not([data-saving])")


def reload(page: Any) -> None:
    """Come back to the page once the server has every choice: the browser would ask before."""
    wait_until_saved(page)
    page.reload()
    wait_until_ready(page)


def choose_photo(page: Any, photo: Any, faces: int) -> None:
    """Upload a photo (a path, or a file in memory) and wait for so many faces."""
    page.set_input_files("#photo-file", photo)
    wait_for_faces(page, faces)


def choose_example(page: Any) -> None:
    """Choose the first example, which shows two people."""
    page.click("#example")
    wait_for_faces(page, 2)


def wait_for_faces(page: Any, count: int) -> None:
    """Wait until the page shows so many faces, and reads no photo."""
    page.wait_for_selector(".stage[aria-busy=false]")
    page.wait_for_function("count => document.querySelectorAll('.picture .face').length === count", arg=count)


def wait_for_loop(page: Any) -> None:
    """Wait for the loop of the scene; without motion its first frame is shown."""
    page.wait_for_selector(".picture[data-loop=ready] .layer")


def choose(page: Any, name: str, value: str) -> None:
    """Choose an option of the radio group `name`, as a click on its label does."""
    button = page.locator(f"input[type=radio][name='{name}'][value='{value}']")
    button.wait_for(state="attached")
    page.locator("label").filter(has=button).click()


def choose_kind(page: Any, face: int, kind: str) -> None:
    """Choose what plays a face: motion, clip, still or free."""
    choose(page, f"kind-{face}", kind)


def choose_motion(page: Any, face: int, motion: str) -> None:
    """Choose a built-in motion for a face that plays one."""
    choose(page, f"motion-{face}", motion)


def chosen(page: Any, name: str) -> str:
    """The value of a radio group; empty for none."""
    checked = page.locator(f"input[type=radio][name='{name}']:checked")
    return str(checked.get_attribute("value")) if checked.count() else ""


def give_clip(page: Any, face: int, clip: Path) -> None:
    """Upload a clip for a face and wait until it is checked."""
    choose_kind(page, face, "clip")
    page.set_input_files(f"#card-{face} input[type=file] >> nth=0", clip)
    page.wait_for_selector(f"#card-{face} >> text={clip.name}")
    page.wait_for_selector(f"#card-{face} progress", state="detached")


def open_options(page: Any) -> None:
    """Open the options."""
    if page.get_attribute("#options", "open") is None:
        page.click("#options > summary")


def set_seconds(page: Any, seconds: float) -> None:
    """Set the length of the result."""
    open_options(page)
    choose(page, "length", "seconds")
    enter(page, "#seconds", str(seconds))


def enter(page: Any, place: str, text: str) -> None:
    """Type another value into a field of the options, leave it, and wait until the server has it."""
    page.wait_for_selector(place)
    with page.expect_response(
        lambda answer: "component_server" in answer.url and "set_" in str(answer.request.post_data)
    ):
        page.fill(place, text)
        page.press(place, "Tab")


def animate(page: Any) -> None:
    """Press Animate."""
    page.click("#animate:enabled")


def wait_for_job(page: Any) -> None:
    """Wait for the progress of a job."""
    page.wait_for_selector(".job-progress progress")


def wait_for_result(page: Any) -> dict[str, Any]:
    """Wait for the result and play it; returns whether it moves, its width, height, length and error."""
    page.wait_for_selector("#result video", timeout=RUN_MS)
    return dict(page.evaluate(PLAYS, "#result"))


def record(page: Any, place: str) -> None:
    """Start to record the texts of the element at `place`, or its sources where it is a picture."""
    page.evaluate(RECORD, place)


def recorded(page: Any) -> list[str]:
    """The texts since `record`, without those that follow themselves."""
    return [str(text) for text in page.evaluate("window.recorded")]


def error_text(page: Any, place: str = ".studio") -> str:
    """Wait for the error message at `place` and return it."""
    page.wait_for_selector(f"{place} [role=alert]")
    return str(page.inner_text(f"{place} [role=alert] >> nth=0"))


def shown_text(page: Any) -> str:
    """What the page shows, for the report of a failed test; empty once the tab is closed."""
    return "" if page.is_closed() else str(page.evaluate("document.body.innerText"))
