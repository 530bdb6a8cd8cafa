"""The diffusion engine on a card: the published sizes with random weights, profile by profile; nothing is downloaded.

    python -m benchmarks.wan [--profiles resident,stream] [--sizes 480x832x81,512x512x81] [--large] [--faces 1,3]
                             [--steps 3] [--batch-passes] [--attention native] [--compile] [--folder DIR] [--json]

Each row is printed as soon as it is measured, with --json as a line of JSON. Sizes are height x width x frames; the
step's time is the median of all steps but the first. A step has two passes (portrait guidance 4). Its floor is the
bare arithmetic of the passes: at the rate that this card reaches in large matrix products, and at its nominal rate.
Each of several profiles has a process of its own, so that none meets another one's memory. A profile that is not
possible here, or by its estimate does not fit, is left out with the reason; one that is named alone is tried
nevertheless. Without a CUDA card the program says so and exits with 3; --tiny --device cpu runs all of it as a toy.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.measuring import Measured, RamWatch, Work, measure
from benchmarks.predicting import Predicted, Predictor
from benchmarks.random_model import LeftOut, Sizes, published_sizes, random_pipeline, toy_sizes
from fantasyportrait.core.errors import FantasyPortraitError
from fantasyportrait.pipelines.portrait_pipeline import FantasyPortraitPipeline
from fantasyportrait.runtime.attention import choose_attention, set_attention
from fantasyportrait.runtime.compute import COMPILER, check_compiled, compile_blocks, compute_settings
from fantasyportrait.runtime.memory import free_memory
from fantasyportrait.runtime.place import device_of, place, precision_of
from fantasyportrait.runtime.placement import ATTENTIONS, PRECISIONS, Placement
from fantasyportrait.runtime.profiles import PROFILE_NAMES, Profile, profile_of
from fantasyportrait.runtime.quiet import quiet_libraries

NO_CARD = 3
# The targets first: a run that is cut short has them.
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


@dataclass(frozen=True)
class Bench:
    """What all rows of one process share."""

    profile: Profile
    placement: Placement
    device: torch.device
    sizes: Sizes
    options: argparse.Namespace

    @property
    def precision(self) -> torch.dtype:
        """In which the transformer computes."""
        return precision_of(self.placement, self.device)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = _options(given)
    if not torch.cuda.is_available() and not options.tiny:
        print("benchmarks.wan needs a CUDA card, and there is none: try --tiny --device cpu", file=sys.stderr)
        return NO_CARD
    if not options.json:
        print(" ".join(f"{name.replace('predicted', 'pred').replace('_', ' '):>{width}}" for name, width in COLUMNS))
    for row in rows(options, given):
        print(json.dumps(row) if options.json else _line(row), flush=True)
    return 0


def rows(options: argparse.Namespace, given: Sequence[str]) -> Iterator[Row]:
    """A row for each profile and work, or one that says why there is none."""
    if len(options.profiles) > 1:
        for name in options.profiles:
            yield from _in_its_own_process(name, given)
        return
    profile = profile_of(options.profiles[0])
    placement = Placement(device=options.device, precision=options.precision, attention=options.attention)
    sizes = toy_sizes() if options.tiny else published_sizes()
    bench = Bench(profile, placement, device_of(placement), sizes, options)
    try:
        with compute_settings(bench.device, options.compile), quiet_libraries(), torch.no_grad():
            yield from _measured(bench)
    except (LeftOut, FantasyPortraitError) as error:
        yield {"profile": profile.name, "left_out": str(error)}
    except torch.OutOfMemoryError:
        yield {"profile": profile.name, "left_out": "the model does not fit into the memory of this card"}


def _in_its_own_process(name: str, given: Sequence[str]) -> Iterator[Row]:
    """The rows of one profile, as they come. The last --profiles counts, and no reason but an error ends it early."""
    command = [sys.executable, "-m", "benchmarks.wan", *given, "--profiles", name, "--json", "--if-it-fits"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1]) as child:
        for line in child.stdout or ():
            yield json.loads(line)
    if child.returncode:
        yield {"profile": name, "left_out": f"its process ended with {child.returncode}, perhaps for want of memory"}


def _measured(bench: Bench) -> Iterator[Row]:
    """The pipeline built and placed once, then every work; the estimates come first, in the empty card."""
    options = bench.options
    if bench.profile.card and bench.device.type == "cpu":
        raise LeftOut("this profile needs a card")
    if options.compile:
        check_compiled(bench.profile)
    predictor = Predictor(bench.sizes, bench.device, bench.precision)
    works = [Work(*size, faces) for size in options.sizes for faces in options.faces]
    predicted = {work: predictor.predict(bench.profile, work, options.steps, options.batch_passes) for work in works}
    if options.if_it_fits and not any(each.fits for each in predicted.values()):
        raise LeftOut(predicted[works[0]].why)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        with RamWatch() as ram:
            begin = time.perf_counter()
            pipeline, notes = _pipeline(bench, Path(folder))
            build_s = time.perf_counter() - begin
        shared = _shared(bench, predictor) | {"build_s": build_s, "build_ram_gib": ram.peak_gib, "notes": notes}
        for work in works:
            row = shared | {"size": work.size, "faces": work.faces}
            if options.if_it_fits and not predicted[work].fits:
                yield row | {"left_out": predicted[work].why}
                continue
            figures = _try(bench, pipeline, work)
            yield row | ({"left_out": figures} if isinstance(figures, str) else _figures(figures, predicted[work]))


def _pipeline(bench: Bench, folder: Path) -> tuple[FantasyPortraitPipeline, list[str]]:
    """Built, with its attention chosen, compiled if asked for, and placed; and what the attention has to say."""
    pipeline = random_pipeline(bench.sizes, bench.profile, bench.precision, bench.device, folder)
    config, compiled = pipeline.transformer.config, bench.options.compile
    choice = choose_attention(
        *(bench.placement.attention, bench.device, bench.precision),
        heads=config.num_attention_heads,
        head_dim=config.attention_head_dim,
        compiler=COMPILER if compiled else None,
    )
    set_attention(pipeline.transformer, choice)
    if compiled:
        compile_blocks(pipeline.transformer)
    place(pipeline, bench.profile.offload, bench.device)
    free_memory()
    return pipeline, [choice.backend, *choice.notes]


def _try(bench: Bench, pipeline: FantasyPortraitPipeline, work: Work) -> Measured | str:
    """The figures, or why there are none."""
    try:
        return measure(pipeline, work, bench.options.steps, bench.device, bench.options.batch_passes)
    except torch.OutOfMemoryError:
        pass  # what did not fit is kept alive until the handler is left
    free_memory()
    return "it does not fit into the memory of this card"


def _shared(bench: Bench, predictor: Predictor) -> Row:
    """What every row of a process says of the machine and of how it computes."""
    return {
        "card": predictor.card,
        "torch": torch.__version__,
        "profile": bench.profile.name,
        "precision": str(bench.precision).removeprefix("torch."),
        "compiled": bench.options.compile,
        "batch_passes": bench.options.batch_passes,
        "steps": bench.options.steps,
        "toy": bench.options.tiny,
        "rates": asdict(predictor.rates),
        "nominal_tflops": predictor.nominal_tflops,
    }


def _figures(found: Measured, predicted: Predicted) -> Row:
    """Measured beside predicted, and how far from the floors."""
    peaks = found.peaks.values()
    allocated, reserved = max(p.allocated_gib for p in peaks), max(p.reserved_gib for p in peaks)
    floor, nominal = (found.passes * each if each else None for each in predicted.floors_s)
    return {
        "passes": found.passes,
        "step_s": found.step_s,
        "steps_s": found.steps_s,
        "encode_s": found.encode_s,
        "decode_s": found.decode_s,
        "tflop_a_pass": predicted.tflop,
        "floor_s": floor,
        "times_floor": found.step_s / floor if floor else None,
        "nominal_floor_s": nominal,
        "times_nominal": found.step_s / nominal if nominal else None,
        "vram_gib": allocated,
        "reserved_gib": reserved,
        "phases": {phase: asdict(peak) for phase, peak in found.peaks.items()},
        "ram_gib": found.ram_gib,
        "pinned_gib": found.pinned_gib,
        "predicted_vram_gib": predicted.vram_gib,
        "predicted_over_measured": predicted.vram_gib / reserved if reserved else None,
        "predicted_ram_gib": predicted.ram_gib,
        "predicted_step_s": predicted.step_s,
    }


def _line(row: Row) -> str:
    """A row of the table."""
    if "left_out" in row:
        return f"{row['profile']:>14} {row.get('size', ''):>13} {row.get('faces', ''):>6}  left out: {row['left_out']}"
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
    parser.add_argument("--tiny", action="store_true", help="a toy of the model")
    parser.add_argument("--folder", type=Path, help="for the shards of stream-disk, 35 GB; the system's temporary one")
    parser.add_argument("--if-it-fits", action="store_true", help="leave out what by its estimate does not fit")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(given)
    options.sizes = options.sizes or _sizes(TINY if options.tiny else SIZES)
    if options.large:
        options.sizes += _sizes(LARGE)
    return options


def _profiles(text: str) -> list[str]:
    return [profile_of(name).name for name in text.split(",")]


def _sizes(text: str) -> list[tuple[int, int, int]]:
    sizes = [tuple(int(side) for side in size.split("x")) for size in text.split(",")]
    if any(len(size) != 3 for size in sizes):
        raise argparse.ArgumentTypeError(f"{text!r} is no size: write it like {SIZES}")
    return [(height, width, frames) for height, width, frames in sizes]


if __name__ == "__main__":
    sys.exit(main())
