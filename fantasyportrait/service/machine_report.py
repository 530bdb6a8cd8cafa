"""The memory and time of every profile for a video of some size on this machine."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fantasyportrait.core.errors import RequestError, WeightsError
from fantasyportrait.core.optional import check_installed
from fantasyportrait.core.paths import default_cache_dir
from fantasyportrait.engines.wan_model import WanModel, file_size, lora_file, prepare_model, sampled_frames
from fantasyportrait.runtime.runtime_config import RuntimeConfig
from fantasyportrait.schema.sampling import Sampling

if TYPE_CHECKING:
    from fantasyportrait.planning.estimate import Estimate
    from fantasyportrait.planning.planner import Planner
    from fantasyportrait.planning.workload import Workload

SIDE_MULTIPLE = 16
Row = Mapping[str, str | float | bool]


@dataclass(frozen=True)
class MachineReport:
    """The estimate of every profile on one machine.

    Attributes:
        machine: name of its device and its free memory.
        rows: one for each profile: name, fits, vram_gib, ram_gib, step_s, total_s, reason.
        chosen: the profile that a run selects; None where none fits.
        verdict: memory and time of the chosen profile, or why none fits.
        messages: the assumptions behind the figures.
    """

    machine: str
    rows: tuple[Row, ...]
    chosen: str | None
    verdict: str
    messages: tuple[str, ...]


def machine_report(
    sampling: Sampling,
    size: tuple[int, int],
    frames: int,
    faces: int,
    runtime_config: RuntimeConfig,
    models_dir: Path | None = None,
) -> MachineReport:
    """The report for a video of `size` (width, height) pixels with `frames` frames and `faces` driven faces.

    Nothing is fetched or loaded; a speed measurement takes some seconds. For a missing model the sizes of the original
    one are used. Raises `DependencyError` without the packages of the extra `wan`.
    """
    check_installed("diffusers", extra="wan", purpose="the wan engine")
    if any(side % SIDE_MULTIPLE or side < SIDE_MULTIPLE for side in size):
        raise RequestError(
            "the size is {width} x {height}: both sides must be multiples of {side_multiple}",
            width=size[0],
            height=size[1],
            side_multiple=SIDE_MULTIPLE,
        )
    from fantasyportrait.runtime.library_logging import quiet_libraries

    with quiet_libraries():
        from fantasyportrait.planning.planner import Planner
        from fantasyportrait.planning.workload import Workload

        model, messages = _model(sampling, models_dir)
        folder, gguf = (None, None) if model is None else (model.folder, model.gguf)
        planner = Planner(folder, gguf, runtime_config, default_cache_dir())
        lora_bytes = file_size(_lora(sampling, models_dir))
        job = Workload(*size, sampled_frames(frames), faces, sampling, lora_bytes)
        chosen, verdict, planned = _verdict(planner, job)
        table = planner.table(planned)
    here = planner.machine
    memory = f"{here.ram_gib:.1f} GiB of memory free"
    where = f"{here.name}: {memory}" if here.unified_memory else f"{here.name}: {here.vram_gib:.1f} GiB free, {memory}"
    if not any(each.measured for each in table):
        messages.append("times are estimated: no video has been made on this machine yet")
    return MachineReport(where, tuple(_row(each) for each in table), chosen, verdict, tuple(messages))


def _model(sampling: Sampling, models_dir: Path | None) -> tuple[WanModel | None, list[str]]:
    try:
        return prepare_model(sampling.model, models_dir), []
    except WeightsError as error:
        return None, [f"figures are the original model's, unquantized, since {error}"]


def _lora(sampling: Sampling, models_dir: Path | None) -> Path | None:
    """The LoRA's file; None where it is not fetched yet."""
    try:
        return lora_file(sampling, models_dir)
    except WeightsError:
        return None


def _verdict(planner: "Planner", job: "Workload") -> tuple[str | None, str, "Workload"]:
    """The chosen profile, the sentence about it, and the workload, in windows where only these fit."""
    try:
        plan = planner.plan(job)
    except RequestError as error:
        # The planner has tried windows too.
        return None, str(error), job.in_windows()
    return plan.estimate.profile.name, plan.sentence, plan.job


def _row(each: "Estimate") -> Row:
    return {
        "profile": each.profile.name,
        "fits": each.fits,
        "vram_gib": round(each.vram_gib, 1),
        "ram_gib": round(max(each.ram_gib, each.load_gib), 1),
        "step_s": round(each.step_s, 2),
        "total_s": round(each.total_s, 1),
        "reason": each.reason,
    }
