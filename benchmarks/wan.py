"""The diffusion engine on a GPU: the original sizes with random weights, profile by profile; nothing is downloaded.

    python -m benchmarks.wan [--profiles resident,stream] [--sizes 480x832x81,512x512x81] [--large] [--faces 1,3]
                             [--steps 3] [--batch-passes] [--attention native] [--compile] [--force] [--folder DIR]
                             [--json]

Each row is printed as soon as it is measured, with --json as a line of JSON. Sizes are height x width x frames; the
step's time is the median of all steps but the first. A step has two passes (portrait guidance 4). Its floor is the
bare arithmetic of the passes: at the rate that this GPU reaches in large matrix products, and at its nominal rate.
Each of several profiles runs in its own process, so that none is affected by another's memory. A profile that is not
possible here, or by its estimate does not fit (--force tries it nevertheless), is left out with the reason. Without a
CUDA GPU the program says so and exits with 3; --tiny --device cpu runs all of it with a tiny model.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from fantasyportrait.runtime.profiles import PROFILE_NAMES, get_profile
from fantasyportrait.runtime.runtime_config import ATTENTIONS, PRECISIONS

NO_GPU = 3
# The main targets first, so that a run that is cut short has them.
ORDER = (
    "resident",
    "stream",
    "sequential",
    *(n for n in PROFILE_NAMES if n not in ("resident", "stream", "sequential")),
)
SIZES, LARGE, TINY = "480x832x81,512x512x81", "720x1280x81", "64x96x9"
Row = dict[str, Any]
COLUMNS = (
    *(("profile", 14), ("size", 13), ("faces", 6), ("passes", 7), ("step_s", 8), ("predicted_step_s", 10)),
    *(("times_floor", 8), ("times_nominal", 8), ("vram_gib", 9), ("reserved_gib", 9), ("predicted_vram_gib", 10)),
    *(("ram_gib", 8), ("pinned_gib", 8), ("predicted_ram_gib", 10), ("encode_s", 9), ("decode_s", 9)),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = _options(given)
    if not torch.cuda.is_available() and not options.tiny:
        print("benchmarks.wan needs a CUDA GPU, and there is none: try --tiny --device cpu", file=sys.stderr)
        return NO_GPU
    if not options.json:
        print(" ".join(f"{name.replace('predicted', 'pred').replace('_', ' '):>{width}}" for name, width in COLUMNS))
    for row in rows(options, given):
        print(json.dumps(row) if options.json else _line(row), flush=True)
    return 0


def rows(options: argparse.Namespace, given: Sequence[str]) -> Iterator[Row]:
    """A row for each profile and work, or one that says why there is none."""
    if len(options.profiles) == 1:
        # Imported late: they print while they load, and without a GPU one sentence is enough.
        from benchmarks.profile_rows import profile_rows

        yield from profile_rows(get_profile(options.profiles[0]), options)
        return
    for name in options.profiles:
        yield from _in_its_own_process(name, given)


def _in_its_own_process(name: str, given: Sequence[str]) -> Iterator[Row]:
    """The rows of one profile, as they come. The last --profiles counts, and no reason but an error ends it early."""
    command = [sys.executable, "-m", "benchmarks.wan", *given, "--profiles", name, "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1]) as child:
        for line in child.stdout or ():
            if line.startswith("{"):
                yield json.loads(line)
            else:  # output of a library
                print(line, end="", file=sys.stderr)
    if child.returncode:
        yield {"profile": name, "skipped": f"its process ended with {child.returncode}: see its last words above"}


def _line(row: Row) -> str:
    """A row of the table."""
    if "skipped" in row:
        return f"{row['profile']:>14} {row.get('size', ''):>13} {row.get('faces', ''):>6}  left out: {row['skipped']}"
    cells = ("-" if row[name] is None else row[name] for name, _ in COLUMNS)
    texts = (f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in cells)
    return " ".join(f"{text:>{width}}" for text, (_, width) in zip(texts, COLUMNS, strict=True))


def _options(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profiles", type=_profiles, default=list(ORDER), help=", ".join(PROFILE_NAMES))
    parser.add_argument("--sizes", type=_sizes, help=f"height x width x frames; {SIZES}")
    parser.add_argument("--large", action="store_true", help=f"{LARGE} too")
    parser.add_argument("--faces", type=lambda text: [int(part) for part in text.split(",")], default=[1, 3])
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--batch-passes", action="store_true", help="a step's passes as one batch")
    parser.add_argument("--attention", choices=ATTENTIONS, default="native")
    parser.add_argument("--precision", choices=PRECISIONS, default="auto")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--tiny", action="store_true", help="a tiny model")
    parser.add_argument("--folder", type=Path, help="for the shards of stream-disk, 35 GB; the system's temporary one")
    parser.add_argument("--force", action="store_true", help="try also what by its estimate does not fit")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(given)
    options.sizes = options.sizes or _sizes(TINY if options.tiny else SIZES)
    if options.large:
        options.sizes += _sizes(LARGE)
    return options


def _profiles(text: str) -> list[str]:
    return [get_profile(name).name for name in text.split(",")]


def _sizes(text: str) -> list[tuple[int, int, int]]:
    sizes = [tuple(int(side) for side in size.split("x")) for size in text.split(",")]
    if any(len(size) != 3 for size in sizes):
        raise argparse.ArgumentTypeError(f"{text!r} is no size: write it like {SIZES}")
    return [(height, width, frames) for height, width, frames in sizes]


if __name__ == "__main__":
    sys.exit(main())
