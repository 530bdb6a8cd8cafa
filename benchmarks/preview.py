"""Speed and memory of the preview engine: analysis, rendering, a whole job from a cold start, peak memory by length.

    python benchmarks/preview.py [--media DIR] [--runs 5] [--json]

Without --media everything is made from the bundled picture; with it, DIR holds mild.mp4 (480x480), expressive.mp4,
woman.jpg (512x512) and two_person.png (1084x610). Each figure is the median of the runs. The job and the memory runs
start a new process with an empty track cache.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2

from fantasyportrait.faces.analyser import FaceAnalyser
from fantasyportrait.faces.clip_tracking import track_clip
from fantasyportrait.images.images import load_photo, save_image
from fantasyportrait.media.clips import probe_clip
from fantasyportrait.media.writer import VideoWriter
from fantasyportrait.motion.builtin import builtin_motion
from fantasyportrait.preview.engine import render
from fantasyportrait.schema.driven_face import DrivenFace

RATE = Fraction(25)
BUNDLED = Path(__file__).parents[1] / "assets" / "two_people.png"


@dataclass(frozen=True)
class Inputs:
    """A 480x480 clip, a second clip, a 512x512 portrait and a 1084x610 photo of two people."""

    clip: Path
    other_clip: Path
    portrait: Path
    pair: Path


def bundled_inputs(folder: Path) -> Inputs:
    """The same sizes, made from the bundled picture with built-in motions."""
    photo = load_photo(BUNDLED).pixels
    pair, portrait = folder / "pair.png", folder / "portrait.png"
    save_image(pair, cv2.resize(photo, (1084, 610), interpolation=cv2.INTER_AREA))
    crop = photo[0:460, 80:540]
    save_image(portrait, cv2.resize(crop, (512, 512), interpolation=cv2.INTER_AREA))
    clips = []
    small = cv2.resize(crop, (480, 480), interpolation=cv2.INTER_AREA)
    analyser = FaceAnalyser()
    face = analyser.masked(small, analyser.find(small))[0]
    for name in ("talk", "laugh"):
        motion = builtin_motion(name, 250, RATE, analyser.canonical)
        clips.append(folder / f"{name}.mp4")
        with VideoWriter(clips[-1], (480, 480), RATE) as writer:
            for frame in render(small, [DrivenFace(face, motion)], 250, analyser.canonical):
                writer.write(frame)
    return Inputs(clips[0], clips[1], portrait, pair)


def media_inputs(folder: Path) -> Inputs:
    """The real files."""
    return Inputs(folder / "mild.mp4", folder / "expressive.mp4", folder / "woman.jpg", folder / "two_person.png")


def analysis_fps(clip: Path) -> float:
    """Frames of a clip tracked in a second, loading of the nets left out."""
    rate = probe_clip(clip).rate
    track_clip(clip, rate, 0.0, 0.5)
    start = time.perf_counter()
    rows = len(track_clip(clip, rate)[0])
    return rows / (time.perf_counter() - start)


def render_fps(photo: Path, frames: int = 100) -> float:
    """Frames rendered in a second, every face moving; set-up of the photo left out."""
    pixels = load_photo(photo).pixels
    analyser = FaceAnalyser()
    motion = builtin_motion("talk", frames + 1, RATE, analyser.canonical)
    driven = [DrivenFace(face, motion) for face in analyser.masked(pixels, analyser.find(pixels))]
    stream = render(pixels, driven, frames + 1, analyser.canonical)
    next(stream)
    start = time.perf_counter()
    rendered = sum(1 for _ in stream)
    return rendered / (time.perf_counter() - start)


def job(inputs: Inputs, duration_s: float) -> tuple[float, float]:
    """Seconds and peak memory in MiB of a two-face job in a new process, with nothing cached."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "fantasyportrait", "animate", str(inputs.pair)]
        command += ["--cast", f"1={inputs.clip}", "--cast", f"2={inputs.other_clip}"]
        command += ["--duration", str(duration_s), "-o", str(Path(folder) / "out.mp4")]
        environment = {**os.environ, "FANTASYPORTRAIT_CACHE_DIR": folder}
        start = time.perf_counter()
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(f"the job failed: {' '.join(command)}")
        return time.perf_counter() - start, usage.ru_maxrss / 1024


def median(figure: Callable[[], float], runs: int) -> float:
    """The median of several runs."""
    return statistics.median(figure() for _ in range(runs))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--media", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        inputs = media_inputs(options.media) if options.media else bundled_inputs(Path(scratch))
        ten = [job(inputs, 10) for _ in range(options.runs)]
        long = job(inputs, 120)
        report = {
            "analysis, 480x480, frames/s": round(median(lambda: analysis_fps(inputs.clip), options.runs), 1),
            "render, 512x512, one face, frames/s": round(median(lambda: render_fps(inputs.portrait), options.runs), 1),
            "render, 1084x610, two faces, frames/s": round(median(lambda: render_fps(inputs.pair), options.runs), 1),
            "10 s, two faces, from a cold start, s": round(statistics.median(seconds for seconds, _ in ten), 1),
            "peak memory of that, MiB": round(statistics.median(peak for _, peak in ten)),
            "120 s, two faces, s": round(long[0], 1),
            "peak memory of 120 s, MiB": round(long[1]),
        }
    if options.json:
        print(json.dumps(report, indent=2))
        return
    for name, value in report.items():
        print(f"{name:<42} {value}")


if __name__ == "__main__":
    main()
