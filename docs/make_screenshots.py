"""Takes pictures of the app in its states:  python docs/make_screenshots.py

It starts the app with folders of its own and drives Chromium ($CHROMIUM or /usr/bin/chromium) through playwright.
Each state is taken at four widths, in light and dark and in both languages, into outputs/screenshots, with a contact
sheet for each state.  With --tour  the pictures of docs/tour.md are made instead, of drawn characters only.
"""

import argparse
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

from fantasyportrait.schema.cast import parse_role
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.service.animator import Animator

ROOT = Path(__file__).parents[1]
FRIENDS = ROOT / "assets" / "three_friends.jpg"
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
]
SIZES = ((390, 844), (768, 1024), (1440, 900), (2560, 1440))
TOUR_SIZE = (1200, 800)
THEMES, LANGUAGES = ("light", "dark"), ("en", "zh")
START_S, WAIT_MS = 180, 600_000
SHEET_TILE = (480, 360)
CALLS = re.compile("/gradio_api/component_server")


class Studio:
    """One visitor's page, which is photographed state after state."""

    def __init__(self, page: Any, folder: Path, tour: bool) -> None:
        self.page, self._folder, self._tour = page, folder, tour
        self._taken: dict[str, list[Path]] = {}
        self._held: list[Any] = []
        self._holds = False
        page.route(CALLS, self._hold)

    def show(self, selector: str) -> None:
        """Wait for an element."""
        self.page.wait_for_selector(selector, timeout=WAIT_MS)

    def take(self, state: str, tour: str | None = None) -> None:
        """Take the state as it is now; for the tour, the element `tour` alone, in one variant, or nothing."""
        # The page waits for the answers, and keeps its state while it is photographed.
        self._holds = True
        if self._tour:
            if tour is not None:
                self._variant(TOUR_SIZE, "light", "en")
                path = self._folder / f"{state}.png"
                self.page.locator(tour).first.screenshot(path=path)
                _save_webp(path)
        else:
            for size in SIZES:
                for theme in THEMES:
                    for language in LANGUAGES:
                        self._variant(size, theme, language)
                        path = self._folder / f"{state}-{size[0]}-{theme}-{language}.png"
                        # Where the screen ends matters for what sticks to its edge, and for dialogs.
                        screen = size[0] == 390 or self.page.locator("dialog[open]").count() > 0
                        self.page.screenshot(path=path, full_page=not screen)
                        self._taken.setdefault(state, []).append(path)
            _contact_sheet(self._taken[state], self._folder / f"sheet-{state}.png")
        self._variant(SIZES[2], "light", "en")
        self._holds = False
        while self._held:
            self._held.pop(0).continue_()

    def _hold(self, route: Any) -> None:
        if self._holds:
            self._held.append(route)
        else:
            route.continue_()

    def _variant(self, size: tuple[int, int], theme: str, language: str) -> None:
        self.page.set_viewport_size({"width": size[0], "height": size[1]})
        # As gradio does for a visitor who prefers dark pages.
        self.page.evaluate("dark => document.body.classList.toggle('dark', dark)", theme == "dark")
        self.page.evaluate("language => document.querySelector(`.languages [lang=${language}]`)?.click()", language)
        self.page.wait_for_timeout(250)


def walk(studio: Studio, files: dict[str, Path]) -> None:
    """Bring the page into its states, one after the other."""
    page = studio.page
    studio.show(".example-motions .motion-tile:nth-child(8)")
    studio.take("01-welcome")
    page.set_input_files("#photo-file", files["empty"])
    studio.show(".error-line")
    studio.take("02-no-face")
    page.set_input_files("#photo-file", FRIENDS)
    studio.show(".face")
    studio.take("03-photo")
    studio.show(".picture video")
    studio.take("04-alive", ".columns .left")
    page.click("#card-1 label:has-text('Clip')")
    page.set_input_files("#card-1 input[type=file]", files["pair"])
    studio.show("#card-1 .clip-facts, #card-1 progress")
    studio.take("05-clip-checking")
    page.wait_for_selector("#card-1 progress", state="detached", timeout=WAIT_MS)
    studio.show("#card-1 .clip-facts")
    studio.take("06-clip-ready", ".columns .right")
    page.click("#options > summary")
    studio.take("07-options", "#options")
    page.click("#options > summary")
    _webcam(studio)
    page.click("#animate")
    studio.show(".job-progress")
    studio.take("09-running")
    studio.show("#result video")
    page.wait_for_timeout(1500)
    studio.take("10-result", ".columns .left")
    page.evaluate("document.querySelector('.library')?.scrollIntoView()")
    studio.take("11-library", ".library")
    page.route(CALLS, _refuse)
    studio.show(".offline")
    studio.take("12-offline")
    page.unroute(CALLS, _refuse)
    page.wait_for_selector(".offline", state="detached", timeout=WAIT_MS)
    _presenter(studio)


def _refuse(route: Any) -> None:
    route.abort()


def _webcam(studio: Studio) -> None:
    """The dialog of the webcam, with the browser's false camera."""
    page = studio.page
    page.click("#card-2 label:has-text('Clip')")
    studio.show("#card-2 .record")
    page.click("#card-2 .record")
    studio.show("dialog video")
    page.wait_for_timeout(1500)
    studio.take("08-webcam")
    page.keyboard.press("Escape")
    page.click("#card-2 label:has-text('Motion')")


def _presenter(studio: Studio) -> None:
    """The live scene, full screen."""
    studio.page.click("#back")
    studio.page.click("#present")
    studio.show("#presenter canvas")
    studio.page.wait_for_timeout(8000)
    studio.take("13-presenter")


def _save_webp(path: Path) -> None:
    """Replace a picture by a small WebP."""
    with Image.open(path) as image:
        image.convert("RGB").save(path.with_suffix(".webp"), quality=80, method=6)
    path.unlink()


def _contact_sheet(pictures: list[Path], path: Path) -> None:
    """All variants of a state on one sheet: a row for each width."""
    columns = len(THEMES) * len(LANGUAGES)
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * SHEET_TILE[0], rows * SHEET_TILE[1]), "#808080")
    for number, picture in enumerate(pictures):
        with Image.open(picture) as image:
            image.thumbnail((SHEET_TILE[0] - 8, SHEET_TILE[1] - 8))
            left, top = number % columns * SHEET_TILE[0], number // columns * SHEET_TILE[1]
            sheet.paste(image, (left + 4, top + 4))
    sheet.save(path)


def make_files(folder: Path) -> dict[str, Path]:
    """A clip with two drawn people, and a photo without a face."""
    empty, pair = folder / "sky.png", folder / "two friends.mp4"
    Image.linear_gradient("L").resize((960, 640)).save(empty)
    with Image.open(FRIENDS) as friends:
        crop = friends.crop((0, 0, friends.width * 2 // 3, friends.height))
        crop.resize((crop.width // 4 * 2, crop.height // 4 * 2)).save(folder / "two.png")
    cast = (parse_role("1=motion:talk"), parse_role("2=motion:laugh"))
    request = AnimationRequest(folder / "two.png", cast, duration=3.0, side_by_side=False)
    Animator().animate(request, pair)
    return {"empty": empty, "pair": pair}


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """The app in a process of its own; gives its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address, environment = f"http://127.0.0.1:{port}", {**os.environ, "GRADIO_TEMP_DIR": str(folder / "uploads")}
    command = [sys.executable, "app.py", "--port", str(port), "--results", str(folder / "results")]
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            _wait_for(address, process)
            yield address
        finally:
            process.terminate()
            process.wait(timeout=60)


def _wait_for(address: str, process: "subprocess.Popen[bytes]") -> None:
    end_s = time.monotonic() + START_S
    while time.monotonic() < end_s and process.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except (urllib.error.URLError, TimeoutError):
            time.sleep(0.2)
    raise SystemExit(f"the app did not answer at {address}")


def main() -> None:
    """Take all pictures."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tour", action="store_true", help="make the pictures of docs/tour.md")
    tour = parser.parse_args().tour
    output = ROOT / "docs" / "images" / "tour" if tour else ROOT / "outputs" / "screenshots"
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name, sync_playwright() as driver:
        files = make_files(Path(name))
        with serve(Path(name)) as address:
            browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            page = browser.new_context(viewport={"width": 1440, "height": 900}, locale="en").new_page()
            page.on("pageerror", lambda error: print(f"error of the page: {error}", file=sys.stderr))
            page.goto(address)
            page.wait_for_selector(".studio[data-ready]", timeout=WAIT_MS)
            walk(Studio(page, output, tour), files)
            browser.close()
    print(output)


if __name__ == "__main__":
    main()
