"""The estimate for one profile: peak memory, time, whether it fits, and if not, the reason in words."""

from dataclasses import dataclass, replace

from fantasyportrait.planning.machine import Machine
from fantasyportrait.planning.peak_memory import load_ram_gib, needs_tiles, peak_ram_gib, peak_vram_gib
from fantasyportrait.planning.step_time import compute_seconds, fixed_seconds, step_seconds, transfer_seconds
from fantasyportrait.planning.workload import ActivationCosts, Cost, CostInputs
from fantasyportrait.runtime.profiles import Profile


@dataclass(frozen=True)
class TimeCorrection:
    """The ratio of measured to predicted seconds; `measured` if this profile has run before."""

    value: float = 1.0
    measured: bool = False


NO_CORRECTION = TimeCorrection()


@dataclass(frozen=True)
class Estimate:
    """Peak memory and time of a job with one profile.

    Attributes:
        profile: the row of the table.
        batch_passes: whether the passes of a step run as one batch.
        vram_gib: peak memory of the device; with unified memory, of device and host together.
        ram_gib: peak memory of the host while sampling.
        load_gib: peak memory of the host while loading.
        step_s: one step through all windows.
        raw_step_s: the same before the correction from past runs.
        total_s: encoding, sampling and decoding, without loading.
        possible: whether this machine and model support the profile at all.
        fits: whether it is possible and memory and disk suffice.
        reason: why it does not fit; empty if it does.
        lacks_disk: whether only disk space is missing.
        suggestions: options of the job that would lower a peak that does not fit.
        measured: whether runs of this profile on this machine corrected the times.
        tiled_encode, tiled_decode: whether the VAE works in tiles, since whole frames do not fit.
    """

    profile: Profile
    batch_passes: bool
    vram_gib: float
    ram_gib: float
    load_gib: float
    step_s: float
    raw_step_s: float
    total_s: float
    possible: bool = True
    fits: bool = True
    reason: str = ""
    lacks_disk: bool = False
    suggestions: tuple[str, ...] = ()
    measured: bool = False
    tiled_encode: bool = False
    tiled_decode: bool = False


def estimate(
    profile: Profile, inputs: CostInputs, unsupported_reason: str = "", correction: TimeCorrection = NO_CORRECTION
) -> Estimate:
    """The estimate for one profile.

    Args:
        profile: the row of the table.
        inputs: machine, throughput, model and job.
        unsupported_reason: why the profile is not possible here; empty if it is.
        correction: from the step times of past runs.
    """
    job, machine = inputs.job, inputs.machine
    wanted = job.sampling.batch_passes
    batch = _should_batch(profile, inputs) if wanted is None else wanted
    vram, ram, load = (
        peak_vram_gib(profile, inputs, batch),
        peak_ram_gib(profile, inputs),
        load_ram_gib(profile, inputs),
    )
    raw = step_seconds(profile, inputs, batch)
    step = raw * correction.value
    lack = _shortage(machine, vram, max(ram, load))
    tiled_encode, tiled_decode = needs_tiles(profile, inputs)
    return Estimate(
        profile=profile,
        batch_passes=batch,
        vram_gib=vram,
        ram_gib=ram,
        load_gib=load,
        step_s=step,
        raw_step_s=raw,
        total_s=job.sampling.num_inference_steps * step + fixed_seconds(profile, inputs),
        possible=not unsupported_reason,
        fits=not unsupported_reason and not lack,
        reason=unsupported_reason or lack,
        suggestions=_suggestions(profile, inputs, batch, vram) if lack else (),
        measured=correction.measured,
        tiled_encode=tiled_encode,
        tiled_decode=tiled_decode,
    )


def _should_batch(profile: Profile, inputs: CostInputs) -> bool:
    """Whether one transfer of the weights for all passes saves time, and the larger batch fits."""
    if inputs.job.max_passes < 2 or not profile.streams:
        return False
    if transfer_seconds(profile, inputs) <= compute_seconds(inputs):
        return False
    return peak_vram_gib(profile, inputs, batch=True) <= inputs.machine.vram_gib


def _suggestions(profile: Profile, inputs: CostInputs, batch: bool, peak: float) -> tuple[str, ...]:
    """Options of the job that would lower the device's peak memory, in words."""
    needs, job, nothing = inputs.activations, inputs.job, Cost(0, 0)
    less = {
        "no step cache (step_cache)": (replace(needs, cached=0), job, batch),
        "no LoRA (lora)": (needs, replace(job, lora_bytes=0), batch),
        "passes one by one (batch_passes)": (needs, job, False),
    }
    if needs.windows == 1:
        # With several windows, the peak is that of one window.
        less["fewer frames (duration)"] = (replace(needs, forward=nothing, batched=nothing), job, batch)
    found = []
    weights = replace(
        inputs,
        activations=ActivationCosts(1, nothing, nothing, nothing, nothing, nothing, nothing, nothing, nothing),
        job=replace(job, lora_bytes=0),
    )
    # No option helps if the weights alone do not fit.
    if peak_vram_gib(profile, weights, batch) < inputs.machine.vram_gib < peak:
        found = ["a smaller size (max_side)"]
        found += [
            words
            for words, (activations, changed, together) in less.items()
            if peak_vram_gib(profile, replace(inputs, activations=activations, job=changed), together) < peak
        ]
    if inputs.model_size.gguf is None:
        found.append("a smaller model (gguf-q4)")
    return tuple(found)


def _shortage(machine: Machine, vram: float, ram: float) -> str:
    """The missing memory, in words; empty if none is missing."""
    if machine.unified_memory:
        need = max(vram, ram)
        return f"needs {need:.1f} GiB of memory, {machine.ram_gib:.1f} are free" if need > machine.ram_gib else ""
    lacks = []
    if vram > machine.vram_gib:
        lacks.append(f"needs {vram:.1f} GiB on the GPU, {machine.vram_gib:.1f} are free")
    if ram > machine.ram_gib:
        lacks.append(f"needs {ram:.1f} GiB of memory, {machine.ram_gib:.1f} are free")
    return "; ".join(lacks)
