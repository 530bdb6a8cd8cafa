"""How much memory a job takes with a profile: the peaks of the device and of the host, from counted bytes.

What is not counted is named here once, each with its reason.

- A LoRA that was switched off keeps its memory while the pipeline lives: 0.7 GB at most, and where that is too much the
  job goes on one profile lower.
- Attention is taken for a fused kernel, which never has all scores in memory. On mps nobody has measured that.
"""

from fantasyportrait.planning.machine import GIB
from fantasyportrait.planning.workload import CostInputs, ModelSize
from fantasyportrait.runtime.profiles import Profile

# Kernels that a GPU loads when it first needs them, and the work space of its matrix library.
KERNELS_GIB = 0.3
# The allocator cannot always use the holes between tensors; this share of what is in motion is lost to them.
FRAGMENTATION = 0.05
# Python, libraries and the driver's own memory on the host, beyond what was there when we measured.
HOST_OVERHEAD_GIB = 1.0
# On the GPU at once when blocks are streamed: the one that works, and the next.
STREAMED_BLOCKS = 2
# What a LoRA's own tensors add to the peak of a pass: traced with rank 64 on every matrix of a block, at three sizes.
# Its products are one or two in a hundred of the pass's.
LORA_OVERHEAD = 0.1


def peak_vram_gib(profile: Profile, inputs: CostInputs, batch: bool) -> float:
    """Peak of the device's memory over encoding, sampling and decoding."""
    model, machine = inputs.model_size, inputs.machine
    works = _activation_bytes(inputs, batch, needs_tiles(profile, inputs))
    if machine.unified_memory:
        peak = max(works)
        return (_all_weight_bytes(profile, inputs) + peak * (1 + FRAGMENTATION)) / GIB + HOST_OVERHEAD_GIB
    weights = weights_on_gpu(profile, model, inputs.job.lora_bytes)
    phases = [held + (1 + FRAGMENTATION) * work for held, work in zip(weights, works, strict=True)]
    if profile.offload == "none" and phases[0] / GIB + KERNELS_GIB > machine.vram_gib:
        # Then CLIP works where it waits, on the host.
        phases = phases[1:]
    return max(phases) / GIB + KERNELS_GIB


def needs_tiles(profile: Profile, inputs: CostInputs) -> tuple[bool, bool]:
    """Whether encoding, and decoding, whole pictures does not fit beside the weights: it is then done in tiles."""
    needs, machine = inputs.activations, inputs.machine
    if machine.unified_memory:
        encoding = decoding = (machine.vram_gib - HOST_OVERHEAD_GIB) * GIB - _all_weight_bytes(profile, inputs)
    else:
        weights = weights_on_gpu(profile, inputs.model_size, inputs.job.lora_bytes)
        room = (machine.vram_gib - KERNELS_GIB) * GIB
        encoding, decoding = room - weights[1], room - weights[4]
    return (1 + FRAGMENTATION) * needs.encode.peak > encoding, (1 + FRAGMENTATION) * needs.decode.peak > decoding


def weights_on_gpu(profile: Profile, model: ModelSize, lora: int = 0) -> tuple[int, int, int, int, int]:
    """Bytes of weights on the GPU while CLIP looks at the portrait, the VAE encodes, the adapter makes motion tokens,
    the transformer samples, and the VAE decodes. A LoRA comes and goes with the blocks that it is for."""
    share = STREAMED_BLOCKS / max(model.blocks, 1) if profile.streams else 1.0
    transformer = transformer_on_gpu(profile, model) + int(min(share, 1.0) * lora)
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


def transformer_on_gpu(profile: Profile, model: ModelSize) -> int:
    """Bytes of the transformer's weights that are on the GPU at once while it works."""
    whole = model.held(profile)
    share = whole / model.whole
    if profile.offload in ("stream", "disk"):
        return int((min(STREAMED_BLOCKS, model.blocks) * model.block + model.outside) * share)
    if profile.offload == "sequential":
        return model.largest_matrix
    # Of quantized weights one matrix at a time is there in the precision of the computation too.
    raised = 0 if profile.exact and model.gguf is None else model.largest_matrix
    return whole + raised


def peak_ram_gib(profile: Profile, inputs: CostInputs) -> float:
    """Peak of the host's memory while it works; 0 where it is the device's own memory."""
    model = inputs.model_size
    if inputs.machine.unified_memory:
        return 0.0  # counted with the device's, which it is
    held = {
        "none": model.image_encoder,
        "model": model.held(profile) + model.other_components,
        "stream": _pinned(model),
        # Pages of a mapped file are no memory that is taken: the system has them back when it likes.
        "disk": STREAMED_BLOCKS * 2 * model.block + model.other_components,
        "sequential": model.held(profile) + model.other_components,
    }[profile.offload]
    lora = 0 if profile.offload == "none" else inputs.job.lora_bytes
    return (held + lora) / GIB + HOST_OVERHEAD_GIB


def load_ram_gib(profile: Profile, inputs: CostInputs) -> float:
    """Peak of the host's memory while the model is loaded and placed."""
    model = inputs.model_size
    if profile.offload in ("stream", "disk") and model.gguf is None:
        # Mapped: pages of a file are no memory that is taken.
        held = STREAMED_BLOCKS * 2 * model.block
    elif profile.weights == "fp8":
        held = model.whole  # cast when all of it is there
    elif profile.weights == "nf4":
        held = 2 * model.block  # quantized on the GPU, tensor by tensor
    else:
        held = model.held(profile)
    if profile.offload == "stream" and not inputs.machine.unified_memory:
        # All blocks are pinned before the first of the old ones is let go, where they are no mapped file.
        held += _pinned(model)
    return (held + model.other_components) / GIB + HOST_OVERHEAD_GIB


def _all_weight_bytes(profile: Profile, inputs: CostInputs) -> int:
    """Bytes of all weights: where there is one memory, wherever a weight waits, it waits in the same one."""
    return inputs.model_size.held(profile) + inputs.model_size.other_components + inputs.job.lora_bytes


def _pinned(model: ModelSize) -> int:
    """Bytes of pinned memory; of a GGUF file at most twice its own, since each tensor is rounded up.

    Torch can be told not to round (pinned_max_round_threshold_mb of its allocator), which would save a third. In torch
    2.13 the cache of pinned memory then hands out pieces that are too small, and writes overflow (pytorch 192722);
    without that cache (pinned_max_cached_size_mb) stream-disk would pin every block anew in every pass; and changing it
    between the two brings the overflow back. So it stays as it is.
    """
    return model.pinned if model.gguf is None else 2 * (model.gguf + model.other_components)


def _activation_bytes(inputs: CostInputs, batch: bool, tiled: tuple[bool, bool]) -> tuple[int, int, int, int, int]:
    """Peak bytes of each phase's own work."""
    needs = inputs.activations
    sampling = needs.batched if batch else needs.forward
    # What a step cache keeps stays from step to step, for every pass of every window.
    cached = needs.cached * inputs.job.max_passes * needs.windows
    return (
        needs.image.peak,
        needs.encode_tiled.peak if tiled[0] else needs.encode.peak,
        needs.motion.peak,
        cached + int((1 + (LORA_OVERHEAD if inputs.job.lora_bytes else 0)) * sampling.peak),
        min(needs.decode_tiled.peak, needs.decode.peak) if tiled[1] else needs.decode.peak,
    )
