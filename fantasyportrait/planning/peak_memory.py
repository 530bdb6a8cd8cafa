"""Peak memory of the device and of the host for a job with a profile, from counted bytes.

Not counted:

- A LoRA that was switched off keeps its memory while the pipeline lives: 0.7 GB at most. If that is too much, the job
  falls back to the next profile.
- Attention counts as a fused kernel, which never has all scores in memory. This is not measured on mps.
"""

from fantasyportrait.planning.machine import GIB
from fantasyportrait.planning.workload import CostInputs, ModelSize
from fantasyportrait.runtime.profiles import Profile

# Kernels that a GPU loads lazily, and the workspace of its matrix library.
KERNELS_GIB = 0.3
# Share of the activations that the allocator loses to gaps between tensors.
FRAGMENTATION = 0.05
# Python, libraries and the driver on the host, beyond what was in use when the machine was measured.
HOST_OVERHEAD_GIB = 1.0
# Blocks on the GPU at once when streaming: the current one, and the next.
STREAMED_BLOCKS = 2
# Share that a LoRA's tensors add to the peak of a pass: traced with rank 64 on every matrix of a block, at three sizes.
# Its operations are 1 to 2 % of the pass's.
LORA_OVERHEAD = 0.1


def peak_vram_gib(profile: Profile, inputs: CostInputs, batch: bool) -> float:
    """Peak memory of the device over encoding, sampling and decoding."""
    model, machine = inputs.model_size, inputs.machine
    works = _activation_bytes(inputs, batch, needs_tiles(profile, inputs))
    if machine.unified_memory:
        peak = max(works)
        return (_all_weight_bytes(profile, inputs) + peak * (1 + FRAGMENTATION)) / GIB + HOST_OVERHEAD_GIB
    weights = weights_on_gpu(profile, model, inputs.job.lora_bytes)
    phases = [held + (1 + FRAGMENTATION) * work for held, work in zip(weights, works, strict=True)]
    if profile.offload == "none" and phases[0] / GIB + KERNELS_GIB > machine.vram_gib:
        # CLIP then computes on the host.
        phases = phases[1:]
    return max(phases) / GIB + KERNELS_GIB


def needs_tiles(profile: Profile, inputs: CostInputs) -> tuple[bool, bool]:
    """Whether encoding, and decoding, must work in tiles, since whole frames do not fit beside the weights."""
    needs, machine = inputs.activations, inputs.machine
    if machine.unified_memory:
        encoding = decoding = (machine.vram_gib - HOST_OVERHEAD_GIB) * GIB - _all_weight_bytes(profile, inputs)
    else:
        weights = weights_on_gpu(profile, inputs.model_size, inputs.job.lora_bytes)
        room = (machine.vram_gib - KERNELS_GIB) * GIB
        encoding, decoding = room - weights[1], room - weights[4]
    return (1 + FRAGMENTATION) * needs.encode.peak > encoding, (1 + FRAGMENTATION) * needs.decode.peak > decoding


def weights_on_gpu(profile: Profile, model: ModelSize, lora: int = 0) -> tuple[int, int, int, int, int]:
    """Bytes of weights on the GPU in each phase: CLIP, VAE encoding, motion adapter, sampling, VAE decoding.

    A LoRA is offloaded with the blocks that it belongs to.
    """
    share = STREAMED_BLOCKS / max(model.blocks, 1) if profile.streams else 1.0
    transformer = transformer_on_gpu(profile, model) + int(min(share, 1.0) * lora)
    if profile.offload == "none":
        # CLIP is on the GPU only while it encodes the portrait.
        stay = transformer + model.vae + model.motion_adapter
        return (stay + model.image_encoder, stay, stay, stay, stay)
    if profile.offload == "sequential":
        return (model.largest_matrix,) * 5
    if profile.offload == "model":
        # Diffusers offloads a model when the next of the sequence runs: CLIP when the adapter does.
        image, motion = model.image_encoder, model.motion_adapter
        return (image, image + model.vae, model.vae + motion, transformer, model.vae)
    return (model.image_encoder, model.vae, model.motion_adapter, transformer, model.vae)


def transformer_on_gpu(profile: Profile, model: ModelSize) -> int:
    """Bytes of the transformer's weights that are on the GPU at once while it runs."""
    whole = model.held(profile)
    share = whole / model.whole
    if profile.offload in ("stream", "disk"):
        return int((min(STREAMED_BLOCKS, model.blocks) * model.block + model.outside) * share)
    if profile.offload == "sequential":
        return model.largest_matrix
    # Quantized weights are dequantized one matrix at a time.
    raised = 0 if profile.exact and model.gguf is None else model.largest_matrix
    return whole + raised


def peak_ram_gib(profile: Profile, inputs: CostInputs) -> float:
    """Peak memory of the host while sampling; 0 with unified memory."""
    model = inputs.model_size
    if inputs.machine.unified_memory:
        return 0.0  # counted as the device's
    held = {
        "none": model.image_encoder,
        "model": model.held(profile) + model.other_components,
        "stream": _pinned(model),
        # Pages of a memory-mapped file do not count: the system can drop them at any time.
        "disk": STREAMED_BLOCKS * 2 * model.block + model.other_components,
        "sequential": model.held(profile) + model.other_components,
    }[profile.offload]
    lora = 0 if profile.offload == "none" else inputs.job.lora_bytes
    return (held + lora) / GIB + HOST_OVERHEAD_GIB


def load_ram_gib(profile: Profile, inputs: CostInputs) -> float:
    """Peak memory of the host while the model is loaded and offloading is set up."""
    model = inputs.model_size
    if profile.offload in ("stream", "disk") and model.gguf is None:
        # Memory-mapped, see `peak_ram_gib`.
        held = STREAMED_BLOCKS * 2 * model.block
    elif profile.weights == "fp8":
        held = model.whole  # cast after it is loaded whole
    elif profile.weights == "nf4":
        held = 2 * model.block  # quantized on the GPU, tensor by tensor
    else:
        held = model.held(profile)
    if profile.offload == "stream" and not inputs.machine.unified_memory:
        # All blocks are pinned before the first unpinned one is freed.
        held += _pinned(model)
    return (held + model.other_components) / GIB + HOST_OVERHEAD_GIB


def _all_weight_bytes(profile: Profile, inputs: CostInputs) -> int:
    """Bytes of all weights, which unified memory holds wherever they are offloaded to."""
    return inputs.model_size.held(profile) + inputs.model_size.other_components + inputs.job.lora_bytes


def _pinned(model: ModelSize) -> int:
    """Bytes of pinned memory; for a GGUF file the upper bound, twice its size, since each tensor is rounded up.

    The allocator's option pinned_max_round_threshold_mb turns rounding off, which would save a third. But in torch 2.13
    the cache of pinned memory then returns blocks that are too small, and writes overflow (pytorch 192722). Without
    that cache (pinned_max_cached_size_mb) stream-disk would pin every block again in every pass, and switching between
    the two brings the overflow back. So the default stays.
    """
    return model.pinned if model.gguf is None else 2 * (model.gguf + model.other_components)


def _activation_bytes(inputs: CostInputs, batch: bool, tiled: tuple[bool, bool]) -> tuple[int, int, int, int, int]:
    """Peak bytes of each phase's activations."""
    needs = inputs.activations
    sampling = needs.batched if batch else needs.forward
    # A step cache keeps its tensors from step to step, for every pass of every window.
    cached = needs.cached * inputs.job.max_passes * needs.windows
    return (
        needs.image.peak,
        needs.encode_tiled.peak if tiled[0] else needs.encode.peak,
        needs.motion.peak,
        cached + int((1 + (LORA_OVERHEAD if inputs.job.lora_bytes else 0)) * sampling.peak),
        min(needs.decode_tiled.peak, needs.decode.peak) if tiled[1] else needs.decode.peak,
    )
