"""Whether a profile fits, and how long it takes: peaks and times in one, and what is missing in words."""

from dataclasses import dataclass, replace

from fantasyportrait.planning.job_needs import Activations, Need, Surroundings
from fantasyportrait.planning.machine import Machine
from fantasyportrait.planning.peak_memory import host_gib, loading_gib, needs_tiles, peak_gib
from fantasyportrait.planning.step_time import around_seconds, compute_seconds, step_seconds, transfer_seconds
from fantasyportrait.runtime.profiles import Profile


@dataclass(frozen=True)
class Factor:
    """Measured over predicted seconds; `measured` where this very profile has run before."""

    value: float = 1.0
    measured: bool = False


AS_PREDICTED = Factor()


@dataclass(frozen=True)
class Estimate:
    """What is to be expected of one profile.

    Attributes:
        profile: the row.
        batch_passes: whether a step's passes are made as one batch.
        vram_gib: peak on the device; where device and processor share one memory, of both.
        ram_gib: peak of the host's memory while it works.
        load_gib: the same while it loads.
        step_s: one step of the sampler, through all windows of time.
        raw_step_s: the same before past runs corrected it.
        total_s: sampling, encoding and decoding; not loading.
        possible: whether this machine and model allow the profile at all.
        fits: whether it is possible and the memory is there.
        why: where it does not fit, the reason in words.
        short_disk: whether nothing but room on the disk is missing.
        levers: where memory is short, what of the job would lower the need, in words.
        measured: whether past runs on this machine have corrected the times.
        tiled_encode, tiled_decode: whether the VAE has to do so in tiles, since the whole picture does not fit.
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
    why: str = ""
    short_disk: bool = False
    levers: tuple[str, ...] = ()
    measured: bool = False
    tiled_encode: bool = False
    tiled_decode: bool = False


def estimate(profile: Profile, around: Surroundings, obstacle: str = "", factor: Factor = AS_PREDICTED) -> Estimate:
    """The estimate for one profile.

    Args:
        profile: the row.
        around: machine, rates, model and job.
        obstacle: why the profile is not possible here, in words; empty where it is.
        factor: how much longer past steps took than predicted.
    """
    job, machine = around.job, around.machine
    batch = job.batch_passes if job.batch_passes is not None else _worth_a_batch(profile, around)
    vram, ram, load = peak_gib(profile, around, batch), host_gib(profile, around), loading_gib(profile, around)
    raw = step_seconds(profile, around, batch)
    step = raw * factor.value
    lack = _lack(machine, vram, max(ram, load))
    tiled_encode, tiled_decode = needs_tiles(profile, around)
    return Estimate(
        profile=profile,
        batch_passes=batch,
        vram_gib=vram,
        ram_gib=ram,
        load_gib=load,
        step_s=step,
        raw_step_s=raw,
        total_s=job.steps * step + around_seconds(profile, around),
        possible=not obstacle,
        fits=not obstacle and not lack,
        why=obstacle or lack,
        levers=_levers(profile, around, batch, vram) if lack else (),
        measured=factor.measured,
        tiled_encode=tiled_encode,
        tiled_decode=tiled_decode,
    )


def _worth_a_batch(profile: Profile, around: Surroundings) -> bool:
    """Whether reading the weights once for all passes saves time, and the larger batch fits."""
    if around.job.most_passes < 2 or not profile.streams:
        return False
    if transfer_seconds(profile, around) <= compute_seconds(around):
        return False
    return peak_gib(profile, around, batch=True) <= around.machine.vram_gib


def _levers(profile: Profile, around: Surroundings, batch: bool, peak: float) -> tuple[str, ...]:
    """What would lower the need for memory, in words: what is in the peak of the device's, and can be done without."""
    needs, job, nothing = around.activations, around.job, Need(0, 0)
    less = {
        "no step cache (step_cache)": (replace(needs, cached=0), job, batch),
        "no LoRA (lora)": (needs, replace(job, lora_bytes=0), batch),
        "passes one by one (batch_passes)": (needs, job, False),
    }
    if needs.windows == 1:
        # Of more frames, a window's are at work at once.
        less["fewer frames (duration)"] = (replace(needs, forward=nothing, batched=nothing), job, batch)
    found = []
    weights = replace(
        around,
        activations=Activations(1, nothing, nothing, nothing, nothing, nothing, nothing, nothing, nothing),
        job=replace(job, lora_bytes=0),
    )
    # Where the weights alone are too much, nothing of the job helps.
    if peak_gib(profile, weights, batch) < around.machine.vram_gib < peak:
        found = ["a smaller size (max_side)"]
        found += [
            words
            for words, (activations, changed, together) in less.items()
            if peak_gib(profile, replace(around, activations=activations, job=changed), together) < peak
        ]
    if around.footprint.gguf is None:
        found.append("a smaller model (gguf-q4)")
    return tuple(found)


def _lack(machine: Machine, vram: float, ram: float) -> str:
    """What is missing, in words; empty where nothing is."""
    if machine.one_memory:
        need = max(vram, ram)
        return f"needs {need:.1f} GiB of memory, {machine.ram_gib:.1f} are free" if need > machine.ram_gib else ""
    lacks = []
    if vram > machine.vram_gib:
        lacks.append(f"needs {vram:.1f} GiB on the card, {machine.vram_gib:.1f} are free")
    if ram > machine.ram_gib:
        lacks.append(f"needs {ram:.1f} GiB of memory, {machine.ram_gib:.1f} are free")
    return "; ".join(lacks)
