"""The time of a job with a profile, from counted operations and measured throughput, before any correction."""

from types import MappingProxyType

from fantasyportrait.planning.machine import GIB
from fantasyportrait.planning.peak_memory import peak_ram_gib
from fantasyportrait.planning.workload import CostInputs
from fantasyportrait.runtime.profiles import Profile

# Norms, rotary embeddings and masks are no matrix products, and small products do not reach the throughput of large
# ones: the target for a GPU is 1.6 times the time of the matrix products alone.
EFFICIENCY = 1 / 1.6
# The VAE computes in float32: half the throughput of 16-bit dtypes at best, of which convolutions reach half.
VAE_EFFICIENCY = 0.25
# Assumed for a file that is not in the page cache: NVMe drives read 2 to 7 GB/s, SATA ones 0.5. It is not measured,
# since that would have to write a gigabyte.
DISK_GIB_S = 1.5
# Share of the link's throughput for memory that is not pinned, which is copied through a pinned buffer.
UNPINNED = 0.5
# Memory traffic of the GPU in bytes for each element dequantized to 16 bits before a product: read, write, read. GGUF
# types are dequantized by about eight separate operators.
DEQUANTIZED_BYTES = MappingProxyType({"fp8": 5.0, "int8": 5.0, "nf4": 4.6, "gguf": 24.0})


def step_seconds(profile: Profile, inputs: CostInputs, batch: bool) -> float:
    """One step through all windows, uncorrected."""
    runs = 1.0 if batch else inputs.job.passes
    compute, transfer = compute_seconds(inputs), transfer_seconds(profile, inputs)
    elements = inputs.model_size.matrices
    weights = "gguf" if inputs.model_size.gguf is not None else profile.weights
    dequantizing = elements * DEQUANTIZED_BYTES.get(weights, 0.0) / GIB / inputs.throughput.memory_gib_s
    fixed = inputs.job.passes * compute + runs * dequantizing
    if profile.offload == "stream":
        # The transfer of the first block does not overlap with any computation.
        first = runs * transfer / max(inputs.model_size.blocks, 1)
        # Nor does that of the weights outside the blocks, which are not pinned.
        first += 0 if inputs.machine.unified_memory else runs * _outside_seconds(inputs)
        return inputs.activations.windows * (max(fixed, runs * transfer) + first)
    # From a mapped file, the host copies the next block to pinned memory before it launches the current one.
    return inputs.activations.windows * (fixed + runs * transfer)


def compute_seconds(inputs: CostInputs) -> float:
    """Computation of one forward pass on one window."""
    return inputs.activations.forward.flop / (inputs.throughput.tflops * 1e12 * EFFICIENCY)


def transfer_seconds(profile: Profile, inputs: CostInputs) -> float:
    """One transfer of the transformer's weights to the GPU; 0 where they stay there."""
    if not profile.streams or inputs.machine.unified_memory:
        return 0.0
    held = inputs.model_size.held(profile) / GIB
    rate = inputs.throughput.h2d_gib_s * (1.0 if profile.offload == "stream" else UNPINNED)
    # A file that fits into the host's memory stays in its page cache.
    if profile.offload == "disk" and inputs.machine.ram_gib < held + peak_ram_gib(profile, inputs):
        rate = min(rate, DISK_GIB_S)
    return held / rate


def fixed_seconds(profile: Profile, inputs: CostInputs) -> float:
    """Encoding, decoding, and the transfers of model offloading."""
    needs, throughput = inputs.activations, inputs.throughput
    flop = needs.image.flop + needs.motion.flop + needs.encode.flop + needs.decode.flop
    moved = 0.0
    if profile.offload == "model" and not inputs.machine.unified_memory:
        moved = 2 * (inputs.model_size.held(profile) + inputs.model_size.other_components) / GIB
    return flop / (throughput.tflops * 1e12 * VAE_EFFICIENCY) + moved / (throughput.h2d_gib_s * UNPINNED)


def _outside_seconds(inputs: CostInputs) -> float:
    return 2 * inputs.model_size.outside / GIB / (inputs.throughput.h2d_gib_s * UNPINNED)
