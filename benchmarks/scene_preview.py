"""Time from a photo to its living loop, and of one motion of the gallery: the stages, in seconds and processor time.

    python benchmarks/scene_preview.py [PHOTO ...]

Every face idles. Without a photo the bundled one is used. The networks are loaded and a first photo is analysed before,
as in an app that runs; fetched models are read from the disk.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from fantasyportrait.live.estimate import estimate
from fantasyportrait.live.motion_gallery import motion_loop
from fantasyportrait.live.scene_preview import scene_frame, scene_loop
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.service.animator import Animator

BUNDLED = Path(__file__).parents[1] / "assets" / "two_people.png"
T = TypeVar("T")


def timed(what: str, work: Callable[[], T]) -> T:
    """The result of `work`; prints its seconds and its processor time."""
    begin, processor = time.perf_counter(), time.process_time()
    result = work()
    print(
        f"  {what:<32}{time.perf_counter() - begin:8.3f} s{time.process_time() - processor:10.3f} s of processor time"
    )
    return result


def measure(animator: Animator, photo: Path, folder: Path) -> None:
    """Print the stages for one photo."""
    read, faces = timed("photo read, faces found", lambda: animator.inputs.faces(photo))
    print(f"  {read.pixels.shape[1]} x {read.pixels.shape[0]}, {len(faces)} faces")
    timed("reduced, with head masks", lambda: animator.small_portraits.add(read, faces))
    request = AnimationRequest(photo, [f"{face.id}=motion:idle" for face in faces])
    timed("one frame", lambda: scene_frame(animator, request))
    timed("one frame again", lambda: scene_frame(animator, request))
    loop = folder / f"{photo.stem}.mp4"
    timed("the loop", lambda: scene_loop(animator, request, loop))
    made = timed("one motion of the gallery", lambda: motion_loop(animator, photo, 1, "nod", folder))
    timed("estimate", lambda: estimate(animator, request))
    print(
        f"  loop {loop.stat().st_size} bytes, motion {made.video.stat().st_size}, poster {made.poster.stat().st_size}"
    )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="*", type=Path, default=[BUNDLED])
    photos = parser.parse_args().photos
    animator = Animator()
    with tempfile.TemporaryDirectory() as folder:
        warm_up = AnimationRequest(BUNDLED, ["1=motion:idle"])
        scene_loop(animator, warm_up, Path(folder) / "warm-up.mp4")
        for photo in photos:
            print(photo.name)
            measure(animator, photo, Path(folder))


if __name__ == "__main__":
    main()
