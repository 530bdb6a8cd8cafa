"""Whether a profile fits, and how long it takes: peaks and times from counted bytes, counted work and measured rates.

What is not counted is named here once, each with its reason.

- A LoRA that was switched off keeps its memory while the pipeline lives: 0.7 GB at most, and where that is too much the
  job goes on one profile lower.
- Attention is taken for a fused kernel, which never has all scores in memory. On mps nobody has measured that.
"""

from dataclasses import dataclass, replace
from types import MappingProxyType

from fantasyportrait.runtime.job_needs import Activations, Footprint, JobSize, Need
from fantasyportrait.runtime.machine import GIB, Machine
from fantasyportrait.runtime.probes import Rates
from fantasyportrait.runtime.profiles import Profile

__all__ = ["Activations", "Estimate", "Factor", "Footprint", "JobSize", "Need", "Surroundings", "estimate"]

# Kernels that a card loads when it first needs them, and the work space of its matrix library.
KERNELS_GIB = 0.3
# The allocator cannot always use the holes between tensors; this share of what is in motion is lost to them.
FRAGMENTATION = 0.05
# Python, libraries and the driver's own memory on the host, beyond what was there when we measured.
HOST_GIB = 1.0
# Norms, rotary positions and masks are no matrix products, and small products do not reach the rate of large ones: the
# aim for a card is 1.6 times the time of the bare arithmetic.
EFFICIENCY = 1 / 1.6
# The VAE computes in float32: half the rate of the 16-bit formats at best, and convolutions reach half of that.
VAE_EFFICIENCY = 0.25
# From a file that is not in memory. An SSD of today reads 2 to 7 GB/s, a SATA one 0.5; nobody wants a gigabyte written
# to find out which it is.
DISK_GIB_S = 1.5
# Memory that is not pinned goes over the link through a pinned buffer: about half as fast.
UNPINNED = 0.5
# On the card at once when blocks are streamed: the one that works, and the next.
STREAMED_BLOCKS = 2
# Bytes that pass through the card's memory for each number raised to 16 bits before a product: read, write, read. The
# GGUF types are unpacked by a chain of ordinary operators, about eight of them.
RAISED_BYTES = MappingProxyType({"fp8": 5.0, "int8": 5.0, "nf4": 4.6, "gguf": 24.0})
# What a LoRA's own tensors add to the peak of a pass: traced with rank 64 on every matrix of a block, at three sizes.
# Its products are one or two in a hundred of the pass's.
LORA_WORK = 0.1


@dataclass(frozen=True)
class Factor:
    """Measured over predicted seconds; `measured` where this very profile has run before."""

    value: float = 1.0
    measured: bool = False


AS_PREDICTED = Factor()


@dataclass(frozen=True)
class Surroundings:
    """What is the same for all profiles of one job on one machine."""

    machine: Machine
    rates: Rates
    footprint: Footprint
    activations: Activations
    job: JobSize


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
        total_s=job.steps * step + _around_seconds(profile, around),
        possible=not obstacle,
        fits=not obstacle and not lack,
        why=obstacle or lack,
        levers=_levers(profile, around, batch, vram) if lack else (),
        measured=factor.measured,
        tiled_encode=tiled_encode,
        tiled_decode=tiled_decode,
    )


def peak_gib(profile: Profile, around: Surroundings, batch: bool) -> float:
    """Peak of the device's memory over encoding, sampling and decoding."""
    model, machine = around.footprint, around.machine
    works = _work(around, batch, needs_tiles(profile, around))
    if machine.one_memory:
        peak = max(works)
        return (_everything(profile, around) + peak * (1 + FRAGMENTATION)) / GIB + HOST_GIB
    weights = weights_on_card(profile, model, around.job.lora_bytes)
    phases = [held + (1 + FRAGMENTATION) * work for held, work in zip(weights, works, strict=True)]
    if profile.offload == "none" and phases[0] / GIB + KERNELS_GIB > machine.vram_gib:
        # Then CLIP works where it waits, on the host.
        phases = phases[1:]
    return max(phases) / GIB + KERNELS_GIB


def needs_tiles(profile: Profile, around: Surroundings) -> tuple[bool, bool]:
    """Whether encoding, and decoding, whole pictures does not fit beside the weights: it is then done in tiles."""
    needs, machine = around.activations, around.machine
    if machine.one_memory:
        encoding = decoding = (machine.vram_gib - HOST_GIB) * GIB - _everything(profile, around)
    else:
        weights = weights_on_card(profile, around.footprint, around.job.lora_bytes)
        room = (machine.vram_gib - KERNELS_GIB) * GIB
        encoding, decoding = room - weights[1], room - weights[4]
    return (1 + FRAGMENTATION) * needs.encode.peak > encoding, (1 + FRAGMENTATION) * needs.decode.peak > decoding


def _everything(profile: Profile, around: Surroundings) -> int:
    """Bytes of all weights: where there is one memory, wherever a weight waits, it waits in the same one."""
    return around.footprint.held(profile) + around.footprint.around + around.job.lora_bytes


def weights_on_card(profile: Profile, model: Footprint, lora: int = 0) -> tuple[int, int, int, int, int]:
    """Bytes of weights on the card while CLIP looks at the portrait, the VAE encodes, the adapter makes motion tokens,
    the transformer samples, and the VAE decodes. A LoRA comes and goes with the blocks that it is for."""
    share = STREAMED_BLOCKS / max(model.blocks, 1) if profile.streams else 1.0
    transformer = transformer_on_card(profile, model) + int(min(share, 1.0) * lora)
    if profile.offload == "none":
        # CLIP comes for its portrait alone.
        stay = transformer + model.vae + model.motion_adapter
        return (stay + model.image_encoder, stay, stay, stay, stay)
    if profile.offload == "sequential":
        return (model.largest_matrix,) * 5
    if profile.offload == "model":
        # CLIP stays until the next of the chain arrives, which is the adapter; so does the VAE until the end.
        image, motion = model.image_encoder, model.motion_adapter
        return (image, image + model.vae, model.vae + motion, transformer, model.vae)
    return (model.image_encoder, model.vae, model.motion_adapter, transformer, model.vae)


def transformer_on_card(profile: Profile, model: Footprint) -> int:
    """Bytes of the transformer's weights that are on the card at once while it works."""
    whole = model.held(profile)
    share = whole / model.whole
    if profile.offload in ("stream", "disk"):
        return int((min(STREAMED_BLOCKS, model.blocks) * model.block + model.outside) * share)
    if profile.offload == "sequential":
        return model.largest_matrix
    # Of quantized weights one matrix at a time is there in the precision of the computation too.
    raised = 0 if profile.exact and model.gguf is None else model.largest_matrix
    return whole + raised


def host_gib(profile: Profile, around: Surroundings) -> float:
    """Peak of the host's memory while it works; 0 where it is the device's own memory."""
    model = around.footprint
    if around.machine.one_memory:
        return 0.0  # counted with the device's, which it is
    held = {
        "none": model.image_encoder,
        "model": model.held(profile) + model.around,
        "stream": _pinned(model),
        # Pages of a mapped file are no memory that is taken: the system has them back when it likes.
        "disk": STREAMED_BLOCKS * 2 * model.block + model.around,
        "sequential": model.held(profile) + model.around,
    }[profile.offload]
    lora = 0 if profile.offload == "none" else around.job.lora_bytes
    return (held + lora) / GIB + HOST_GIB


def loading_gib(profile: Profile, around: Surroundings) -> float:
    """Peak of the host's memory while the model is loaded and placed."""
    model = around.footprint
    if profile.offload in ("stream", "disk") and model.gguf is None:
        # Mapped: pages of a file are no memory that is taken.
        held = STREAMED_BLOCKS * 2 * model.block
    elif profile.weights == "fp8":
        held = model.whole  # cast when all of it is there
    elif profile.weights == "nf4":
        held = 2 * model.block  # quantized on the card, tensor by tensor
    else:
        held = model.held(profile)
    if profile.offload == "stream" and not around.machine.one_memory:
        # All blocks are pinned before the first of the old ones is let go, where they are no mapped file.
        held += _pinned(model)
    return (held + model.around) / GIB + HOST_GIB


def step_seconds(profile: Profile, around: Surroundings, batch: bool) -> float:
    """One step through all windows of time, uncorrected."""
    runs = 1.0 if batch else around.job.passes
    compute, transfer = compute_seconds(around), transfer_seconds(profile, around)
    numbers = around.footprint.matrices
    weights = "gguf" if around.footprint.gguf is not None else profile.weights
    raising = numbers * RAISED_BYTES.get(weights, 0.0) / GIB / around.rates.memory_gib_s
    fixed = around.job.passes * compute + runs * raising
    if profile.offload == "stream":
        # The first block has nothing to hide behind.
        first = runs * transfer / max(around.footprint.blocks, 1)
        # Nor has what lies outside of the blocks, which comes and goes without pinned memory.
        first += 0 if around.machine.one_memory else runs * _outside_seconds(around)
        return around.activations.windows * (max(fixed, runs * transfer) + first)
    # From a mapped file the host copies the next block into pinned memory before it lets the card compute this one.
    return around.activations.windows * (fixed + runs * transfer)


def _outside_seconds(around: Surroundings) -> float:
    return 2 * around.footprint.outside / GIB / (around.rates.link_gib_s * UNPINNED)


def compute_seconds(around: Surroundings) -> float:
    """The arithmetic of one forward pass through one window."""
    return around.activations.forward.flop / (around.rates.tflops * 1e12 * EFFICIENCY)


def transfer_seconds(profile: Profile, around: Surroundings) -> float:
    """The transformer's weights on their way to the card, once."""
    if not profile.streams or around.machine.one_memory:
        return 0.0
    held = around.footprint.held(profile) / GIB
    rate = around.rates.link_gib_s * (1.0 if profile.offload == "stream" else UNPINNED)
    # What the host has room for is in its memory after the first time.
    if profile.offload == "disk" and around.machine.ram_gib < held + host_gib(profile, around):
        rate = min(rate, DISK_GIB_S)
    return held / rate


def _worth_a_batch(profile: Profile, around: Surroundings) -> bool:
    """Whether reading the weights once for all passes saves time, and the larger batch fits."""
    if around.job.most_passes < 2 or not profile.streams:
        return False
    if transfer_seconds(profile, around) <= compute_seconds(around):
        return False
    return peak_gib(profile, around, batch=True) <= around.machine.vram_gib


def _around_seconds(profile: Profile, around: Surroundings) -> float:
    """Encoding, decoding, and models that come and go once."""
    needs, rates = around.activations, around.rates
    flop = needs.image.flop + needs.motion.flop + needs.encode.flop + needs.decode.flop
    moved = 0.0
    if profile.offload == "model" and not around.machine.one_memory:
        moved = 2 * (around.footprint.held(profile) + around.footprint.around) / GIB
    return flop / (rates.tflops * 1e12 * VAE_EFFICIENCY) + moved / (rates.link_gib_s * UNPINNED)


def _pinned(model: Footprint) -> int:
    """Bytes of pinned memory; of a GGUF file at most twice its own, since each tensor is rounded up.

    Torch can be told not to round (pinned_max_round_threshold_mb of its allocator), which would save a third. In torch
    2.13 the cache of pinned memory then hands out pieces that are too small, and writes overflow (pytorch 192722);
    without that cache (pinned_max_cached_size_mb) stream-disk would pin every block anew in every pass; and changing it
    between the two brings the overflow back. So it stays as it is.
    """
    return model.pinned if model.gguf is None else 2 * (model.gguf + model.around)


def _work(around: Surroundings, batch: bool, tiled: tuple[bool, bool]) -> tuple[int, int, int, int, int]:
    """Peak bytes of each phase's own work."""
    needs = around.activations
    sampling = needs.batched if batch else needs.forward
    # What a step cache keeps stays from step to step, for every pass of every window.
    cached = needs.cached * around.job.most_passes * needs.windows
    return (
        needs.image.peak,
        needs.encode_tiled.peak if tiled[0] else needs.encode.peak,
        needs.motion.peak,
        cached + int((1 + (LORA_WORK if around.job.lora_bytes else 0)) * sampling.peak),
        min(needs.decode_tiled.peak, needs.decode.peak) if tiled[1] else needs.decode.peak,
    )


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
    if around.machine.vram_gib < peak:
        found = [
            words
            for words, (activations, changed, together) in less.items()
            if peak_gib(profile, replace(around, activations=activations, job=changed), together) < peak
        ]
        weights = Activations(1, nothing, nothing, nothing, nothing, nothing, nothing, nothing, nothing)
        if peak_gib(profile, replace(around, activations=weights), batch) < around.machine.vram_gib:
            found.insert(0, "a smaller size (max_side)")
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
