"""The measurements of `benchmarks.wan` for one profile, in one process."""

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import torch

from benchmarks.measurement import BenchmarkCase, Measurement, RamMonitor, measure
from benchmarks.prediction import Prediction, Predictor
from benchmarks.random_model import SkippedProfile, random_pipeline, tiny_configs
from fantasyportrait.core.errors import FantasyPortraitError
from fantasyportrait.pipelines.portrait_pipeline import FantasyPortraitPipeline
from fantasyportrait.planning.meta_networks import ModelConfigs, original_configs
from fantasyportrait.runtime.attention import select_attention, set_attention_backend
from fantasyportrait.runtime.library_logging import quiet_libraries
from fantasyportrait.runtime.memory import free_memory
from fantasyportrait.runtime.offload import apply_offload, resolve_device, resolve_dtype
from fantasyportrait.runtime.profiles import Profile
from fantasyportrait.runtime.runtime_config import RuntimeConfig
from fantasyportrait.runtime.torch_config import COMPILER, check_compile, compile_blocks, torch_settings

Row = dict[str, Any]


@dataclass(frozen=True)
class Setup:
    """The settings that all rows of one process share."""

    profile: Profile
    runtime_config: RuntimeConfig
    device: torch.device
    configs: ModelConfigs
    options: argparse.Namespace

    @property
    def precision(self) -> torch.dtype:
        """In which the transformer computes."""
        return resolve_dtype(self.runtime_config, self.device)


def profile_rows(profile: Profile, options: argparse.Namespace) -> Iterator[Row]:
    """A row for each work of `options`, or one that says why there is none."""
    runtime_config = RuntimeConfig(device=options.device, precision=options.precision, attention=options.attention)
    configs = tiny_configs() if options.tiny else original_configs()
    setup = Setup(profile, runtime_config, resolve_device(runtime_config), configs, options)
    try:
        with torch_settings(setup.device, options.compile), quiet_libraries(), torch.no_grad():
            yield from _measured(setup)
    except (SkippedProfile, FantasyPortraitError) as error:
        yield {"profile": profile.name, "skipped": str(error)}
    except torch.OutOfMemoryError:
        yield {"profile": profile.name, "skipped": "the model does not fit into the memory of this GPU"}


def _measured(setup: Setup) -> Iterator[Row]:
    """The pipeline built and placed once, then every work; the estimates come first, in the empty GPU."""
    options = setup.options
    if options.compile:
        check_compile(setup.profile, setup.device)
    predictor = Predictor(setup.configs, setup.device, setup.precision)
    works = [BenchmarkCase(*size, faces) for size in options.sizes for faces in options.faces]
    predicted = {work: predictor.predict(setup.profile, work, options.steps, options.batch_passes) for work in works}
    first = predicted[works[0]].estimate
    if not first.possible or not (options.force or any(each.estimate.fits for each in predicted.values())):
        raise SkippedProfile(f"it {first.reason}")
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        with RamMonitor() as ram:
            begin = time.perf_counter()
            pipeline, messages = _pipeline(setup, Path(folder))
            build_s = time.perf_counter() - begin
        shared = _shared(setup, predictor) | {"build_s": build_s, "build_ram_gib": ram.peak_gib, "messages": messages}
        for work in works:
            row = shared | {"size": work.size, "faces": work.faces}
            expected = predicted[work]
            if not (expected.estimate.fits or options.force):
                yield row | {"skipped": f"it {expected.estimate.reason}"}
                continue
            figures = _try(setup, pipeline, work)
            yield row | ({"skipped": figures} if isinstance(figures, str) else _figures(figures, expected))


def _pipeline(setup: Setup, folder: Path) -> tuple[FantasyPortraitPipeline, list[str]]:
    """Built, with its attention chosen, compiled if asked for, and placed; and what the attention has to say."""
    pipeline = random_pipeline(setup.configs, setup.profile, setup.precision, setup.device, folder)
    config, compiled = pipeline.transformer.config, setup.options.compile
    choice = select_attention(
        *(setup.runtime_config.attention, setup.device, setup.precision),
        heads=config.num_attention_heads,
        head_dim=config.attention_head_dim,
        compiler=COMPILER if compiled else None,
    )
    set_attention_backend(pipeline.transformer, choice)
    if compiled:
        compile_blocks(pipeline.transformer)
    apply_offload(pipeline, setup.profile.offload, setup.device)
    free_memory()
    return pipeline, [choice.backend, *choice.messages]


def _try(setup: Setup, pipeline: FantasyPortraitPipeline, work: BenchmarkCase) -> Measurement | str:
    """Return the figures, or the reason why there are none."""
    try:
        return measure(pipeline, work, setup.options.steps, setup.device, setup.options.batch_passes)
    except torch.OutOfMemoryError:
        pass  # tensors that did not fit are kept alive until the handler is left
    free_memory()
    return "it does not fit into the memory of this GPU"


def _shared(setup: Setup, predictor: Predictor) -> Row:
    """Return the columns about the machine and the configuration, equal in every row of a process."""
    return {
        "gpu": predictor.machine.name,
        "torch": torch.__version__,
        "profile": setup.profile.name,
        "precision": str(setup.precision).removeprefix("torch."),
        "compiled": setup.options.compile,
        "batch_passes": setup.options.batch_passes,
        "steps": setup.options.steps,
        "tiny": setup.options.tiny,
        # The CPU has no transfers, and JSON has no infinity.
        "throughput": {name: rate if isfinite(rate) else None for name, rate in asdict(predictor.throughput).items()},
        "nominal_tflops": predictor.nominal_tflops,
    }


def _figures(found: Measurement, predicted: Prediction) -> Row:
    """Return measured and predicted figures, and the ratios to the lower bounds."""
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
