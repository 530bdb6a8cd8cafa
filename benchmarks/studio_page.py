"""How long a visitor of the app waits, and how many clicks a video takes, in a real Chromium.

    python benchmarks/studio_page.py [--repeats 3] [--json]

The app runs in a process of its own. Measured are: the first load (seconds until the page can be used, bytes and
requests, with an empty browser cache); a photo from its upload to the boxes of its faces, and to the living loop; the
first frame after a click on another motion; and the bundled example from its click to the video. Each repeat is a
visitor of its own. Clicks and scrolls are counted for a video of one, two and five faces whose motions are chosen one
by one, on a desktop and on a phone; a scroll is counted where the next thing to click is not in the window.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from fantasyportrait.core.paths import example_photos
from fantasyportrait.images.images import load_photo, save_image

ROOT = Path(__file__).parents[1]
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
FLAGS = ["--no-sandbox", "--disable-dev-shm-usage"]
DESKTOP, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
WAIT_MS = 300_000
MOTIONS = ("smile", "nod", "wink", "talk", "laugh")


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The app on a free port; its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "GRADIO_TEMP_DIR": str(folder / "uploads")}
    command = [sys.executable, "app.py", "--port", str(port), "--results", str(folder / "results")]
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            while True:
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=5):
                        break
                except OSError:
                    time.sleep(0.2)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait()


def photos(folder: Path) -> dict[int, Path]:
    """A photo of one, two and five faces."""
    two, _, five = example_photos()
    pixels = load_photo(two.path).pixels
    save_image(folder / "one.png", pixels[:, : pixels.shape[1] // 2])
    return {1: folder / "one.png", 2: two.path, 5: five.path}


def opened(browser: Browser, address: str, window: dict[str, int]) -> Page:
    """The page of a new visitor."""
    page = browser.new_context(viewport=window, locale="en").new_page()
    page.set_default_timeout(WAIT_MS)
    page.goto(address)
    page.wait_for_selector(".studio[data-ready]")
    return page


def seconds(work: Callable[[], Any]) -> float:
    """How long it takes."""
    begun_s = time.perf_counter()
    work()
    return time.perf_counter() - begun_s


def first_load(browser: Browser, address: str) -> dict[str, float]:
    """Seconds, bytes and requests of the first load."""
    page = browser.new_context(viewport=DESKTOP).new_page()
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    sizes: list[float] = []
    session.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))

    def load() -> None:
        page.goto(address)
        page.wait_for_selector(".studio[data-ready]", timeout=WAIT_MS)

    taken_s = seconds(load)
    found = {"first load, s": taken_s, "first load, kB": sum(sizes) / 1000, "first load, requests": float(len(sizes))}
    page.context.close()
    return found


def waits(browser: Browser, address: str, photo: Path) -> dict[str, float]:
    """The waits of one visitor with a photo, and of one with the example."""
    page = opened(browser, address, DESKTOP)
    begun_s = time.perf_counter()
    page.set_input_files("#photo-file", str(photo))
    page.wait_for_selector(".face")
    boxes_s = time.perf_counter() - begun_s
    page.wait_for_selector(".picture video")
    loop_s = time.perf_counter() - begun_s
    before = page.get_attribute(".picture video", "src")

    def frame() -> None:
        choose(page, 1, "wink")
        page.wait_for_function(
            "before => { const loop = document.querySelector('.picture video');"
            " return document.querySelector('.picture img.layer') || (loop && loop.src !== before); }",
            arg=page.evaluate("src => new URL(src, location).href", before),
            polling=20,
        )

    frame_s = seconds(frame)
    page.context.close()
    page = opened(browser, address, DESKTOP)
    page.wait_for_selector("#example")

    def video() -> None:
        page.click("#example")
        page.wait_for_selector(".face")
        page.click("#animate")
        page.wait_for_selector("#result video")

    video_s = seconds(video)
    page.context.close()
    return {
        "photo to boxes, s": boxes_s,
        "photo to living loop, s": loop_s,
        "click to first frame, s": frame_s,
        "example to video of 4 s, s": video_s,
    }


def choose(page: Page, face: int, motion: str) -> None:
    """Choose a built-in motion for a face."""
    page.click(f"#card-{face} .motion-tile[data-motion='{motion}']")
    page.wait_for_selector(f"#card-{face} input[name='motion-{face}'][value='{motion}']:checked", state="attached")


def effort(browser: Browser, address: str, photo: Path, faces: int, window: dict[str, int]) -> dict[str, int]:
    """Clicks and scrolls from the open page to a video in which each face plays a motion of its own."""
    page = opened(browser, address, window)
    count = {"clicks": 0, "scrolls": 0}

    def click(selector: str, act: Callable[[], Any]) -> None:
        page.wait_for_selector(selector, state="attached")
        box = page.locator(selector).first.bounding_box()
        if box is None or not 0 <= box["y"] <= window["height"] - box["height"]:
            count["scrolls"] += 1
            page.locator(selector).first.scroll_into_view_if_needed()
        count["clicks"] += 1
        act()

    click(".sources button", lambda: page.set_input_files("#photo-file", str(photo)))
    page.wait_for_selector(".face")
    for face, motion in enumerate(MOTIONS[:faces], start=1):
        if page.locator(f"#card-{face} input[name='motion-{face}']").count() == 0:
            click(f"#face-{face}", lambda face=face: page.click(f"#face-{face}"))  # type: ignore[misc]
        name = f"#card-{face} input[name='motion-{face}'][value='{motion}']"
        click(name, lambda face=face, motion=motion: choose(page, face, motion))  # type: ignore[misc]
    click("#animate", lambda: page.click("#animate"))
    page.wait_for_selector("#result video")
    page.context.close()
    return count


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, served(Path(name)) as address, sync_playwright() as driver:
        pictures = photos(Path(name))
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        # The loops of the examples are made at the first start of the app.
        page = opened(browser, address, DESKTOP)
        page.wait_for_function("document.querySelectorAll('.example-scene video, .example video').length >= 3")
        page.context.close()
        runs = [first_load(browser, address) | waits(browser, address, pictures[2]) for _ in range(given.repeats)]
        figures = {what: statistics.median(run[what] for run in runs) for what in runs[0]}
        efforts = {
            f"{faces} faces, {kind}": effort(browser, address, picture, faces, window)
            for faces, picture in pictures.items()
            for kind, window in (("desktop", DESKTOP), ("phone", PHONE))
        }
        browser.close()
    if given.json:
        print(json.dumps({"load": os.getloadavg()[0], "median": figures, "effort": efforts}))
        return
    print(f"median of {given.repeats}, load {os.getloadavg()[0]:.1f}")
    for what, figure in figures.items():
        print(f"{what:32}{figure:9.2f}")
    for what, count in efforts.items():
        print(f"{what:32}{count['clicks']:3} clicks {count['scrolls']:3} scrolls")


if __name__ == "__main__":
    main()
