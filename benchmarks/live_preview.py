"""Speed of presenter mode: a driving clip is fed to a live scene as a camera's JPEGs, frame by frame.

    python -m benchmarks.live_preview [--media DIR] [--steps 150] [--threads N] [--json]

Without --media the clip and the photos are made from the bundled picture; with it, the clip is mild.mp4 (480x480) of
DIR and one and two people are woman.jpg and two_person.png. Each step decodes a JPEG, tracks the face, draws the scene
at 480 px and encodes a JPEG. Steps a second are by the clock. The parts are medians of processor time, of all cores
together, which depends less on what else the machine does. The other faces' rows are drawn once before the measurement,
as after the first seconds of a scene.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import cv2

from benchmarks.photos import crowd
from benchmarks.preview import bundled_inputs
from fantasyportrait.images.camera_frames import encode_jpeg
from fantasyportrait.live.live_scene import LiveScene
from fantasyportrait.media.clips import read_clip
from fantasyportrait.schema.cast import BuiltinSource, Role
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.service.animator import Animator

CAMERA_RATE = Fraction(15)
# Steps before the measurement: the neutral face is found, and each row of the loops was drawn once.
WARM_UP = 75


@dataclass(frozen=True)
class Figure:
    """Figures of one scene: steps a second by the clock; medians of processor time in milliseconds, of a whole step and
    of its parts; steps in which the face was not seen."""

    faces: int
    size: str
    recorded: bool
    steps_a_second: float
    step_ms: float
    decode_ms: float
    track_ms: float
    motion_ms: float
    render_ms: float
    record_ms: float
    encode_ms: float
    unseen: int


def camera(clip: Path, count: int) -> list[bytes]:
    """The clip's frames as JPEGs, from the beginning again where it is too short."""
    frames = []
    for frame in read_clip(clip):
        frames.append(encode_jpeg(frame))
        if len(frames) == count:
            break
    return (frames * (count // len(frames) + 1))[:count]


def measured(photo: Path, frames: list[bytes], cache: Path, record: bool) -> Figure:
    """Feed the camera's frames to a scene of the photo, whose other faces talk."""
    animator = Animator(cache_dir=cache)
    count = len(animator.inputs.faces(photo)[1])
    cast = tuple(Role(face, BuiltinSource("talk")) for face in range(1, count + 1))
    scene = LiveScene(animator, AnimationRequest(photo, cast), clock=time.process_time)
    steps, spent_s, start = [], [], 0.0
    for number, jpeg in enumerate(frames):
        if number == WARM_UP:
            start = time.perf_counter()
            if record:
                scene.start_recording(cache / f"{count}.mp4")
        before = time.process_time()
        steps.append(scene.step_jpeg(jpeg, float(number / CAMERA_RATE), 1))
        spent_s.append(time.process_time() - before)
    total_s = time.perf_counter() - start
    scene.close()
    steps = steps[WARM_UP:]

    def median(values: Iterable[float]) -> float:
        return round(statistics.median(values), 1)

    return Figure(
        count,
        f"{scene.size[0]}x{scene.size[1]}",
        record,
        round(len(steps) / total_s, 1),
        median(1000 * spent for spent in spent_s[WARM_UP:]),
        median(step.decode_ms for step in steps),
        median(step.frame.track_ms for step in steps),
        median(step.frame.motion_ms for step in steps),
        median(step.frame.render_ms for step in steps),
        median(step.frame.record_ms for step in steps),
        median(step.encode_ms for step in steps),
        sum(not step.frame.seen for step in steps),
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--media", type=Path)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--threads", type=int, help="threads of OpenCV; all cores where it is not given")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.threads is not None:
        cv2.setNumThreads(options.threads)
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = bundled_inputs(folder) if options.media is None else None
        clip = made.clip if made else options.media / "mild.mp4"
        photos = [made.portrait, made.pair] if made else [options.media / "woman.jpg", options.media / "two_person.png"]
        photos.append(folder / "five.jpg")
        crowd(photos[-1], (1600, 500), 5, 1)
        frames = camera(clip, options.steps + WARM_UP)
        figures = [measured(photo, frames, folder, record=False) for photo in photos]
        figures.append(measured(photos[1], frames, folder, record=True))
    after, cores, threads = os.getloadavg()[0], os.cpu_count(), cv2.getNumThreads()
    load = f"load {before:.1f} before, {after:.1f} after, {cores} cores, {threads} threads of OpenCV"
    if options.json:
        print(json.dumps({"machine": load, "figures": [asdict(figure) for figure in figures]}, indent=2))
        return
    print(load)
    for figure in figures:
        print("  ".join(f"{key} {value}" for key, value in asdict(figure).items()))


if __name__ == "__main__":
    main()
