"""What `benchmarks.wan` measures of one profile, in one process."""

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import torch

from benchmarks.measuring import Measured, RamWatch, Work, measure
from benchmarks.predicting import Predicted, Predictor
from benchmarks.random_model import LeftOut, random_pipeline, toy_configs
from fantasyportrait.core.errors import FantasyPortraitError
from fantasyportrait.pipelines.portrait_pipeline import FantasyPortraitPipeline
from fantasyportrait.planning.footprint import Configs, published_configs
from fantasyportrait.runtime.attention import choose_attention, set_attention
from fantasyportrait.runtime.compute import COMPILER, check_compiled, compile_blocks, compute_settings
from fantasyportrait.runtime.memory import free_memory
from fantasyportrait.runtime.place import device_of, place, precision_of
from fantasyportrait.runtime.placement import Placement
from fantasyportrait.runtime.profiles import Profile
from fantasyportrait.runtime.quiet import quiet_libraries

Row = dict[str, Any]


@dataclass(frozen=True)
class Bench:
    """What all rows of one process share."""

    profile: Profile
    placement: Placement
    device: torch.device
    configs: Configs
    options: argparse.Namespace

    @property
    def precision(self) -> torch.dtype:
        """In which the transformer computes."""
        return precision_of(self.placement, self.device)


def profile_rows(profile: Profile, options: argparse.Namespace) -> Iterator[Row]:
    """A row for each work of `options`, or one that says why there is none."""
    placement = Placement(device=options.device, precision=options.precision, attention=options.attention)
    configs = toy_configs() if options.tiny else published_configs()
    bench = Bench(profile, placement, device_of(placement), configs, options)
    try:
        with compute_settings(bench.device, options.compile), quiet_libraries(), torch.no_grad():
            yield from _measured(bench)
    except (LeftOut, FantasyPortraitError) as error:
        yield {"profile": profile.name, "left_out": str(error)}
    except torch.OutOfMemoryError:
        yield {"profile": profile.name, "left_out": "the model does not fit into the memory of this card"}


def _measured(bench: Bench) -> Iterator[Row]:
    """The pipeline built and placed once, then every work; the estimates come first, in the empty card."""
    options = bench.options
    if options.compile:
        check_compiled(bench.profile, bench.device)
    predictor = Predictor(bench.configs, bench.device, bench.precision)
    works = [Work(*size, faces) for size in options.sizes for faces in options.faces]
    predicted = {work: predictor.predict(bench.profile, work, options.steps, options.batch_passes) for work in works}
    first = predicted[works[0]].estimate
    if not first.possible or not (options.despite or any(each.estimate.fits for each in predicted.values())):
        raise LeftOut(f"it {first.why}")
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        with RamWatch() as ram:
            begin = time.perf_counter()
            pipeline, notes = _pipeline(bench, Path(folder))
            build_s = time.perf_counter() - begin
        shared = _shared(bench, predictor) | {"build_s": build_s, "build_ram_gib": ram.peak_gib, "notes": notes}
        for work in works:
            row = shared | {"size": work.size, "faces": work.faces}
            expected = predicted[work]
            if not (expected.estimate.fits or options.despite):
                yield row | {"left_out": f"it {expected.estimate.why}"}
                continue
            figures = _try(bench, pipeline, work)
            yield row | ({"left_out": figures} if isinstance(figures, str) else _figures(figures, expected))


def _pipeline(bench: Bench, folder: Path) -> tuple[FantasyPortraitPipeline, list[str]]:
    """Built, with its attention chosen, compiled if asked for, and placed; and what the attention has to say."""
    pipeline = random_pipeline(bench.configs, bench.profile, bench.precision, bench.device, folder)
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
        "card": predictor.machine.name,
        "torch": torch.__version__,
        "profile": bench.profile.name,
        "precision": str(bench.precision).removeprefix("torch."),
        "compiled": bench.options.compile,
        "batch_passes": bench.options.batch_passes,
        "steps": bench.options.steps,
        "toy": bench.options.tiny,
        # Nothing has to move on the CPU, and JSON has no infinity.
        "rates": {name: rate if isfinite(rate) else None for name, rate in asdict(predictor.rates).items()},
        "nominal_tflops": predictor.nominal_tflops,
    }


def _figures(found: Measured, predicted: Predicted) -> Row:
    """Measured beside predicted, and how far from the floors."""
    peaks, estimate = found.peaks.values(), predicted.estimate
    allocated, reserved = max(p.allocated_gib for p in peaks), max(p.reserved_gib for p in peaks)
    floor = found.passes * predicted.floor_s
    nominal = found.passes * predicted.nominal_floor_s if predicted.nominal_floor_s else None
    return {
        "passes": found.passes,
        "step_s": found.step_s,
        "steps_s": found.steps_s,
        "encode_s": found.encode_s,
        "decode_s": found.decode_s,
        "tflop_a_pass": predicted.tflop,
        "floor_s": floor,
        "times_floor": found.step_s / floor,
        "nominal_floor_s": nominal,
        "times_nominal": found.step_s / nominal if nominal else None,
        "vram_gib": allocated,
        "reserved_gib": reserved,
        "phases": {phase: asdict(peak) for phase, peak in found.peaks.items()},
        "ram_gib": found.ram_gib,
        "pinned_gib": found.pinned_gib,
        "predicted_vram_gib": estimate.vram_gib,
        "predicted_over_allocated": estimate.vram_gib / allocated if allocated else None,
        "predicted_over_reserved": estimate.vram_gib / reserved if reserved else None,
        "predicted_ram_gib": estimate.ram_gib,
        "predicted_load_gib": estimate.load_gib,
        "predicted_step_s": estimate.step_s,
    }
