"""Damaged files without end, each of which is read or refused in one sentence:

    python -m tests.hostile.fuzz --count 20000 --seed 1 [--local] [--report fuzz.json]

The same seed makes the same files. `--keep DIR` writes those that fail there.
"""

import argparse
import http.server
import json
import os
import random
import resource
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path

from fantasyportrait.core.errors import FantasyPortraitError
from fantasyportrait.core.limits import PUBLIC
from fantasyportrait.media.decoder import Decoder, LocalDecoder
from fantasyportrait.media.image_clips import is_image
from fantasyportrait.sandbox.decoder import SandboxDecoder
from tests.hostile.mutations import mutate
from tests.hostile.seeds import CLIP, PHOTO, Seed, seeds

LONGEST_SENTENCE = 700
# How much of a clip or sound that still opens is read: the limits have their own tests.
ROWS, BLOCKS = 60, 60
SLOWEST_S = 35.0


@dataclass
class Report:
    """Result of a fuzz run.

    Attributes:
        files, read, refused: how many.
        faults: a line for each file that was neither read nor refused in one sentence in time.
        slowest_s, slowest: the longest that a file took, and which.
        peak_mib: the largest resident memory of a child that decoded, or by how much this process grew at most.
        requests: requests to the loopback server; left: resources that are still open at the end.
        kinds: (read, refused) by kind and suffix.
    """

    files: int = 0
    read: int = 0
    refused: int = 0
    faults: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    slowest: str = ""
    peak_mib: int = 0
    wall_s: float = 0.0
    requests: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    kinds: dict[str, list[int]] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)


def fuzz(count: int, seed: int, local: bool = False, keep: Path | None = None) -> Report:
    """Read `count` damaged files, in children or (`local`) in this process."""
    report, begun = Report(), time.monotonic()
    with recording_server() as (address, report.requests), tempfile.TemporaryDirectory() as folder:
        made = seeds(address)
        before, used_mib = open_resources(), _usage_mib(local)
        decoder: Decoder = LocalDecoder(PUBLIC) if local else SandboxDecoder(PUBLIC)
        for number in range(count):
            _one(number, seed, made, decoder, Path(folder), report, keep)
        report.peak_mib = _peak_mib(decoder, used_mib)
        if isinstance(decoder, SandboxDecoder):
            decoder.close()
        report.left = _left(before)
    report.wall_s = round(time.monotonic() - begun, 1)
    return report


def _one(
    number: int, seed: int, made: list[Seed], decoder: Decoder, folder: Path, report: Report, keep: Path | None
) -> None:
    """Make a file, read it, and record the outcome."""
    rng = random.Random(f"{seed}:{number}")
    kind, suffix, content = made[number % len(made)]
    data = mutate(content, rng, [other for _, _, other in made])
    path = folder / f"{number:05d}.{suffix}"
    path.write_bytes(data)
    begun = time.monotonic()
    counts = report.kinds.setdefault(f"{kind} {suffix}", [0, 0])
    try:
        read(decoder, kind, path)
        report.read += 1
        counts[0] += 1
    except FantasyPortraitError as error:
        report.refused += 1
        counts[1] += 1
        sentence = str(error)
        reason = sentence.replace(str(path), "FILE").split(":")[0][:70]
        report.reasons[reason] = report.reasons.get(reason, 0) + 1
        if "\n" in sentence or path.name not in sentence or len(sentence) > LONGEST_SENTENCE + len(str(path)):
            report.faults.append(f"{path.name}: not one sentence: {sentence[:200]!r}")
    except Exception as error:
        report.faults.append(f"{path.name}: {type(error).__name__}: {error}")
    taken_s = time.monotonic() - begun
    if taken_s > SLOWEST_S:
        report.faults.append(f"{path.name}: {taken_s:.1f} s")
    if taken_s > report.slowest_s:
        report.slowest_s, report.slowest = round(taken_s, 2), path.name
    if keep is not None and report.faults and report.faults[-1].startswith(path.name):
        keep.mkdir(parents=True, exist_ok=True)
        (keep / path.name).write_bytes(data)
    report.files += 1
    path.unlink()


def read(decoder: Decoder, kind: str, path: Path) -> None:
    """Read the file as a photo, clip or sound."""
    if kind == PHOTO:
        decoder.photo(path)
        return
    if kind == CLIP:
        decoder.probe(path)
        decoder.native_rate(path)
        with closing(decoder.frames(path, max_side=960)) as frames:
            for _ in islice(frames, ROWS):
                pass
        if is_image(path, decoder.limits):
            return
    elif not decoder.sound_length_s(path):
        return
    with closing(decoder.sound(path)) as blocks:
        for _ in islice(blocks, BLOCKS):
            pass


@contextmanager
def recording_server() -> Iterator[tuple[str, list[str]]]:
    """(address, list of requests) of a server on this machine."""
    asked: list[str] = []

    class Counting(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Counting)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def open_resources() -> Counter[str]:
    """Open files by name, child processes, and names in the folders for temporary files."""
    found: Counter[str] = Counter()
    for link in Path("/proc/self/fd").iterdir() if Path("/proc/self/fd").is_dir() else ():
        try:
            target = os.readlink(link)
        except OSError:
            continue
        found[f"open {target.split(':')[0]}"] += "/proc/" not in target
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = status.read_text().rpartition(")")[2].split()[1]
        except (OSError, IndexError):
            continue
        found["child"] += parent == str(os.getpid())
    for folder in (Path(tempfile.gettempdir()), Path("/dev/shm")):
        names = os.listdir(folder) if folder.is_dir() else []
        found.update(f"{folder}/{name}" for name in names if "fantasyportrait" in name or name.startswith("psm_"))
    return +found


def _left(before: Counter[str]) -> list[str]:
    """Resources that were not open before and are still open after some time."""
    for _ in range(600):
        left = open_resources() - before
        if not left:
            return []
        time.sleep(0.1)
    return sorted(left)


def _usage_mib(local: bool) -> int:
    """The largest resident memory so far of this process, or of its children that have ended."""
    return resource.getrusage(resource.RUSAGE_SELF if local else resource.RUSAGE_CHILDREN).ru_maxrss >> 10


def _peak_mib(decoder: Decoder, before: int) -> int:
    """Peak memory of the children, living or ended; where this process decodes itself, the growth of its peak.

    `before` is `_usage_mib` from before: what else the process or its children did does not count.
    """
    after = _usage_mib(isinstance(decoder, LocalDecoder))
    if isinstance(decoder, LocalDecoder):
        return after - before
    peaks = [after if after > before else 0]
    for child in decoder._pool._all if isinstance(decoder, SandboxDecoder) else ():
        for line in Path(f"/proc/{child.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                peaks.append(int(line.split()[1]) >> 10)
    return max(peaks)


def main() -> int:
    """The command line; returns 1 where a file has a fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--local", action="store_true", help="decode in this process")
    parser.add_argument("--keep", type=Path, help="folder for files that fail")
    parser.add_argument("--report", type=Path, help="JSON file for the figures")
    given = parser.parse_args()
    report = fuzz(given.count, given.seed, given.local, given.keep)
    text = json.dumps(asdict(report), indent=1)
    if given.report:
        given.report.write_text(text)
    print(text)
    return int(bool(report.faults or report.requests or report.left))


if __name__ == "__main__":
    raise SystemExit(main())
