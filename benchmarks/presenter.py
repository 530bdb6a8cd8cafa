"""How old the picture on the screen is in presenter mode, from a camera in Chromium through the app and back.

    python -m benchmarks.presenter [--media DIR] [--seconds 20] [--json]

The camera plays a clip at 30 frames a second, in which the number of each frame is drawn as a time code: a person who
talks, from the bundled picture, or with --media mild.mp4 of DIR. The app runs in a process of its own; its scene is
the first example, two people, at 480 px. Two figures of the same frames, each by the clock of the page:
 - from the time that the browser states for the camera's picture to the repaint that shows its answer;
 - from the time at which the camera played the frame with that time code. The start of the camera is unknown: it is
   taken from the frame that came through quickest, so this counts what other frames were late in the browser itself.
"""

import argparse
import base64
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.preview import bundled_inputs
from fantasyportrait.images.camera_frames import encode_jpeg
from fantasyportrait.media.clips import read_clip

CAMERA_RATE = 30
BITS, BLOCK = 10, 24
CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
START_S, WAIT_MS = 180.0, 240_000
WATCH = """() => {
    window.shown = [];
    new PerformanceObserver(list => {
        for (const each of list.getEntriesByName('presenter-frame'))
            window.shown.push({...each.detail, start: each.startTime, end: each.startTime + each.duration});
    }).observe({type: 'measure'});
}"""


def coded(frame: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
    """The frame with the number in black and white blocks along its lower border."""
    out = frame.copy()
    for bit in range(BITS):
        out[-BLOCK:, bit * BLOCK : (bit + 1) * BLOCK] = 255 * (number >> bit & 1)
    return out


def code_of(jpeg: bytes, width: int) -> int:
    """The number in a JPEG of a frame that was `width` pixels wide."""
    with Image.open(io.BytesIO(jpeg)) as image:
        pixels = np.array(image.convert("L"))
    scale = pixels.shape[1] / width
    row = pixels[-round(BLOCK * scale / 2)]
    return sum(int(row[round((bit + 0.5) * BLOCK * scale)] > 127) << bit for bit in range(BITS))


def camera_file(clip: Path, path: Path) -> tuple[int, int]:
    """Write the camera's pictures as motion JPEG; returns their number and width."""
    count, width = 0, 0
    with path.open("wb") as file:
        for number, frame in enumerate(read_clip(clip, Fraction(CAMERA_RATE))):
            if number == 1 << BITS:
                break
            file.write(encode_jpeg(coded(frame, number)))
            count, width = number + 1, frame.shape[1]
    return count, width


@contextmanager
def served(folder: Path, port: int) -> Iterator[str]:
    """The address of the app, which runs until the end."""
    command = [sys.executable, "app.py", "--port", str(port), "--results", str(folder / "results")]
    address = f"http://127.0.0.1:{port}"
    with (folder / "log.txt").open("wb") as log:
        environment = {**os.environ, "GRADIO_TEMP_DIR": str(folder / "uploads")}
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            end = time.monotonic() + START_S
            while True:
                try:
                    urllib.request.urlopen(address, timeout=5).close()
                    break
                except (urllib.error.URLError, TimeoutError):
                    if time.monotonic() > end or process.poll() is not None:
                        raise SystemExit((folder / "log.txt").read_text(errors="replace")) from None
                    time.sleep(0.2)
            yield address
        finally:
            process.terminate()
            process.wait(60)


def played(address: str, camera: Path, seconds: float) -> tuple[list[dict[str, Any]], dict[float, bytes]]:
    """The shown frames with their times, and the camera's pictures by the time that was sent with each."""
    from playwright.sync_api import sync_playwright

    pictures: dict[float, bytes] = {}

    def note(request: Any) -> None:
        if "component_server" in request.url and '"at_s"' in (request.post_data or ""):
            data = request.post_data_json["data"]
            if data["frame"]:
                pictures[data["at_s"]] = base64.b64decode(data["frame"])

    flags = ["--no-sandbox", "--disable-dev-shm-usage", "--use-fake-device-for-media-stream"]
    flags.append(f"--use-file-for-fake-video-capture={camera}")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=flags)
        context = browser.new_context(permissions=["camera"], viewport={"width": 1280, "height": 720})
        context.set_default_timeout(WAIT_MS)
        page = context.new_page()
        page.on("request", note)
        page.goto(address)
        page.wait_for_selector(".studio[data-ready]")
        page.click("#example")
        # The scene's loop is there, so nothing else is rendered meanwhile.
        page.wait_for_selector(".picture video")
        page.evaluate(WATCH)
        page.click("#present")
        # The neutral face is known.
        page.wait_for_function(
            "window.shown.length > 3 && document.querySelector('#presenter .live-state').textContent === ''"
        )
        first = len(page.evaluate("window.shown"))
        page.wait_for_timeout(1000 * seconds)
        shown = page.evaluate("window.shown")[first:]
        browser.close()
    return shown, pictures


def ages(shown: Sequence[dict[str, Any]], pictures: dict[float, bytes], count: int, width: int) -> list[float]:
    """Milliseconds from the time at which the camera played each frame to the repaint that shows its answer."""
    loop_ms = 1000 * count / CAMERA_RATE
    rows = [
        (each["start"] - 1000 * code_of(pictures[each["at_s"]], width) / CAMERA_RATE, each["end"] - each["start"])
        for each in shown
        if each["at_s"] in pictures
    ]
    # How late each picture reached the page, but for a constant; the clip repeats.
    base = rows[0][0]
    late = [(offset - base + loop_ms / 2) % loop_ms - loop_ms / 2 for offset, _ in rows]
    return [spent + delay - min(late) for (_, spent), delay in zip(rows, late, strict=True)]


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median and 95 % quantile, in ms."""
    return {"median": round(statistics.median(values)), "p95": round(float(np.quantile(values, 0.95)))}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--media", type=Path)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--port", type=int, default=7999)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = options.media / "mild.mp4" if options.media else bundled_inputs(folder).clip
        count, width = camera_file(clip, folder / "camera.mjpeg")
        with served(folder, options.port) as address:
            shown, pictures = played(address, folder / "camera.mjpeg", options.seconds)
    if len(shown) < 2:
        raise SystemExit(
            f"{len(shown)} frames were shown in {options.seconds:g} s, which is too few: give more --seconds"
        )
    figures = {
        "load": f"{before:.1f} before, {os.getloadavg()[0]:.1f} after, {os.cpu_count()} cores",
        "frames": len(shown),
        "frames_a_second": round(1000 * (len(shown) - 1) / (shown[-1]["end"] - shown[0]["end"]), 1),
        "browser_to_pixel_ms": spread([each["end"] - each["start"] for each in shown]),
        "time_code_to_pixel_ms": spread(ages(shown, pictures, count, width)),
        "server_ms": spread([each["server_ms"] for each in shown]),
        "request_ms": spread([each["took_ms"] for each in shown]),
    }
    print(
        json.dumps(figures, indent=2)
        if options.json
        else "\n".join(f"{key}: {value}" for key, value in figures.items())
    )


if __name__ == "__main__":
    main()
