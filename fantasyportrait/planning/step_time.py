"""How long a job takes with a profile, from counted work and measured throughput; before past runs correct it."""

from types import MappingProxyType

from fantasyportrait.planning.machine import GIB
from fantasyportrait.planning.peak_memory import peak_ram_gib
from fantasyportrait.planning.workload import CostInputs
from fantasyportrait.runtime.profiles import Profile

# Norms, rotary positions and masks are no matrix products, and small products do not reach the rate of large ones: the
# aim for a GPU is 1.6 times the time of the bare arithmetic.
EFFICIENCY = 1 / 1.6
# The VAE computes in float32: half the rate of the 16-bit formats at best, and convolutions reach half of that.
VAE_EFFICIENCY = 0.25
# From a file that is not in memory. An SSD of today reads 2 to 7 GB/s, a SATA one 0.5; nobody wants a gigabyte written
# to find out which it is.
DISK_GIB_S = 1.5
# Memory that is not pinned goes over the link through a pinned buffer: about half as fast.
UNPINNED = 0.5
# Bytes that pass through the GPU's memory for each number raised to 16 bits before a product: read, write, read. The
# GGUF types are unpacked by a chain of ordinary operators, about eight of them.
RAISED_BYTES = MappingProxyType({"fp8": 5.0, "int8": 5.0, "nf4": 4.6, "gguf": 24.0})


def step_seconds(profile: Profile, inputs: CostInputs, batch: bool) -> float:
    """One step through all windows of time, uncorrected."""
    runs = 1.0 if batch else inputs.job.passes
    compute, transfer = compute_seconds(inputs), transfer_seconds(profile, inputs)
    numbers = inputs.model_size.matrices
    weights = "gguf" if inputs.model_size.gguf is not None else profile.weights
    raising = numbers * RAISED_BYTES.get(weights, 0.0) / GIB / inputs.throughput.memory_gib_s
    fixed = inputs.job.passes * compute + runs * raising
    if profile.offload == "stream":
        # The first block has nothing to hide behind.
        first = runs * transfer / max(inputs.model_size.blocks, 1)
        # Nor has what lies outside of the blocks, which comes and goes without pinned memory.
        first += 0 if inputs.machine.unified_memory else runs * _outside_seconds(inputs)
        return inputs.activations.windows * (max(fixed, runs * transfer) + first)
    # From a mapped file the host copies the next block into pinned memory before it lets the GPU compute this one.
    return inputs.activations.windows * (fixed + runs * transfer)


def compute_seconds(inputs: CostInputs) -> float:
    """The arithmetic of one forward pass through one window."""
    return inputs.activations.forward.flop / (inputs.throughput.tflops * 1e12 * EFFICIENCY)


def transfer_seconds(profile: Profile, inputs: CostInputs) -> float:
    """The transformer's weights on their way to the GPU, once."""
    if not profile.streams or inputs.machine.unified_memory:
        return 0.0
    held = inputs.model_size.held(profile) / GIB
    rate = inputs.throughput.h2d_gib_s * (1.0 if profile.offload == "stream" else UNPINNED)
    # What the host has room for is in its memory after the first time.
    if profile.offload == "disk" and inputs.machine.ram_gib < held + peak_ram_gib(profile, inputs):
        rate = min(rate, DISK_GIB_S)
    return held / rate


def fixed_seconds(profile: Profile, inputs: CostInputs) -> float:
    """Encoding, decoding, and models that come and go once."""
    needs, throughput = inputs.activations, inputs.throughput
    flop = needs.image.flop + needs.motion.flop + needs.encode.flop + needs.decode.flop
    moved = 0.0
    if profile.offload == "model" and not inputs.machine.unified_memory:
        moved = 2 * (inputs.model_size.held(profile) + inputs.model_size.other_components) / GIB
    return flop / (throughput.tflops * 1e12 * VAE_EFFICIENCY) + moved / (throughput.h2d_gib_s * UNPINNED)


def _outside_seconds(inputs: CostInputs) -> float:
    return 2 * inputs.model_size.outside / GIB / (inputs.throughput.h2d_gib_s * UNPINNED)
