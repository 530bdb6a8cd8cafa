"""How long a photo waits for its faces while another visitor's clip is being checked.

    python benchmarks/studio_lanes.py [--media DIR] [--clip NAME] [--seconds 60] [--photos 9] [--json]

As in the app, one reader of inputs with a decoder in child processes serves both visitors. Photos are analysed one
after the other: first with nothing else running, then while a clip of --seconds is checked, which repeats the talking
person of the bundled picture or, with --media, biden.mp4 or the clip that --clip names. The photos are man.jpeg,
woman.jpg and two_person.png of --media, or the bundled picture in two sizes. Every photo is a new file.
"""

import argparse
import itertools
import json
import os
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
from preview import bundled_inputs

from fantasyportrait.core.limits import PUBLIC
from fantasyportrait.images.images import load_photo, resize, save_image
from fantasyportrait.media.clips import probe_clip, read_clip
from fantasyportrait.media.writer import VideoWriter
from fantasyportrait.sandbox.decoder import SandboxDecoder
from fantasyportrait.service.input_reader import InputReader
from fantasyportrait.studio.clip_checks import ClipChecks
from fantasyportrait.studio.clip_update import ClipUpdate

RATE = Fraction(25)
WAIT_S = 900.0


def repeated(clip: Path, seconds: float, path: Path) -> Path:
    """The clip over and over, as a video of `seconds`."""
    info = probe_clip(clip)
    size = info.width // 2 * 2, info.height // 2 * 2
    frames = itertools.chain.from_iterable(read_clip(clip, RATE) for _ in itertools.count())
    with VideoWriter(path, size, RATE) as writer:
        for frame in itertools.islice(frames, round(seconds * RATE)):
            writer.write(np.ascontiguousarray(frame[: size[1], : size[0]]))
    return path


def photos(media: Path | None, folder: Path) -> list[Path]:
    """The photos to analyse."""
    if media is not None:
        return [media / name for name in ("man.jpeg", "woman.jpg", "two_person.png")]
    pair = bundled_inputs(folder).pair
    pixels = load_photo(pair).pixels
    smaller = folder / "smaller.png"
    save_image(smaller, resize(pixels, (pixels.shape[1] // 2, pixels.shape[0] // 2)))
    return [pair, smaller]


def photo_times(
    inputs: InputReader, given: list[Path], count: int, folder: Path, go_on: Callable[[], bool]
) -> list[float]:
    """Seconds from the arrival of each of `count` photos to its numbered faces, while `go_on`."""
    times = []
    for number in range(count):
        source = given[number % len(given)]
        photo = shutil.copy(source, folder / f"photo-{time.monotonic_ns()}{source.suffix}")
        start = time.perf_counter()
        inputs.faces(Path(photo))
        if not go_on():
            break
        times.append(time.perf_counter() - start)
        time.sleep(0.3)
    return times


def check_with_photos(
    clip: Path, given: list[Path], count: int, folder: Path
) -> tuple[float, list[float], list[float]]:
    """(seconds of the check, times of photos alone, times of photos meanwhile)."""
    decoder = SandboxDecoder(PUBLIC)
    inputs = InputReader(cache_dir=folder / f"cache-{clip.stem}", decoder=decoder)
    photo_times(inputs, given, len(given), folder, lambda: True)  # loads the models
    alone = photo_times(inputs, given, count, folder, lambda: True)
    checks, tracking, ended = ClipChecks(inputs), threading.Event(), threading.Event()

    def on_update(update: ClipUpdate) -> None:
        if update.state == "failed":
            raise SystemExit(update.error)
        if update.done:
            tracking.set()
        if update.state == "ready":
            ended.set()

    start = time.perf_counter()
    checks.check("a", "clip", clip, on_update)
    if not tracking.wait(WAIT_S):
        raise SystemExit("the check did not begin")
    meanwhile = photo_times(inputs, given, count, folder, lambda: not ended.is_set())
    if not ended.wait(WAIT_S):
        raise SystemExit("the check did not end")
    seconds = time.perf_counter() - start
    checks.close()
    decoder.close()
    return seconds, alone, meanwhile


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--media", type=Path)
    parser.add_argument("--clip", default="biden.mp4")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--photos", type=int, default=9)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        given = photos(options.media, folder)
        clip = options.media / options.clip if options.media else bundled_inputs(folder).clip
        long = repeated(clip, options.seconds, folder / "long.mp4")
        load = os.getloadavg()[0]
        seconds, alone, meanwhile = check_with_photos(long, given, options.photos, folder)
    report = {
        "seconds of the check": round(seconds, 2),
        "photo alone, median": round(statistics.median(alone), 3),
        "photo alone, slowest": round(max(alone), 3),
        "photo meanwhile, median": round(statistics.median(meanwhile), 3),
        "photo meanwhile, slowest": round(max(meanwhile), 3),
        "photos meanwhile": len(meanwhile),
        "load of the machine before": round(load, 1),
    }
    if options.json:
        print(json.dumps(report, indent=2))
        return
    for what, figure in report.items():
        print(f"{what:<28} {figure:8}")


if __name__ == "__main__":
    main()
