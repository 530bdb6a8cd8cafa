"""What a model holds and what a job asks of it, counted: the numbers that an estimate starts from. All in bytes."""

from dataclasses import dataclass

from fantasyportrait.planning.machine import Machine
from fantasyportrait.planning.throughput import Throughput
from fantasyportrait.runtime.profiles import Profile


@dataclass(frozen=True)
class Workload:
    """A job, as far as time and memory are concerned.

    Attributes:
        width, height: pixels, multiples of 16.
        frames: sampled, 4 k + 1.
        max_window_frames: up to so many frames are sampled at once, more in windows of 81.
        faces: that are driven.
        steps: of the sampler.
        passes: forward passes a step, on average.
        max_passes: the most that a step has.
        batch_passes: whether they are made as one batch; None: where that is faster and fits.
        cache: the step cache, where there is one; only past runs tell what it saves.
        lora_bytes: of the LoRA's file, 0 where there is none.
    """

    width: int
    height: int
    frames: int
    max_window_frames: int = 201
    faces: int = 1
    steps: int = 30
    passes: float = 2.0
    max_passes: int = 2
    batch_passes: bool | None = None
    cache: str = "none"
    lora_bytes: int = 0


@dataclass(frozen=True)
class ModelSize:
    """The weights of a model, counted from the shapes in its configs.

    Attributes:
        name: of the model, for the log of speeds.
        matrices: numbers in the matrices that quantizers take.
        bytes_per_number: of one of them in the precision that the transformer computes in.
        rest: everything else of the transformer, as loaded.
        blocks: how many there are.
        block: one of them, as loaded.
        pinned: what all components take in pinned memory: torch rounds each tensor up to a power of two.
        largest_matrix: of the transformer, as loaded.
        vae, image_encoder, motion_adapter: in float32, as loaded.
        gguf: what the transformer of a GGUF file takes; None for a whole model.
    """

    name: str
    matrices: int
    bytes_per_number: int
    rest: int
    blocks: int
    block: int
    pinned: int
    largest_matrix: int
    vae: int
    image_encoder: int
    motion_adapter: int
    gguf: int | None = None

    @property
    def whole(self) -> int:
        """The transformer in the precision that it computes in."""
        return self.matrices * self.bytes_per_number + self.rest

    @property
    def outside(self) -> int:
        """Of the transformer, what lies outside its blocks."""
        return self.whole - self.blocks * self.block

    @property
    def other_components(self) -> int:
        """The components around the transformer."""
        return self.vae + self.image_encoder + self.motion_adapter

    @property
    def gguf_profile(self) -> str | None:
        """The profile made for the GGUF file: by the bits that a number takes; None for a whole model."""
        if self.gguf is None:
            return None
        bits = 8 * (self.gguf - self.rest) / max(self.matrices, 1)
        return "gguf-q8" if bits > 7 else "gguf-q4"

    def held(self, profile: Profile) -> int:
        """What the transformer takes as the profile holds it, all of it at once."""
        if self.gguf is not None:
            return self.gguf
        if profile.exact:
            return self.whole
        return int(self.matrices * profile.bits / 8) + self.rest


@dataclass(frozen=True)
class Cost:
    """Of one computation: peak bytes beyond the weights, and floating point operations."""

    peak: int
    flop: int


@dataclass(frozen=True)
class ActivationCosts:
    """What a job computes, measured with fake tensors.

    Attributes:
        windows: of time, each of which every step goes through.
        forward: one pass of the transformer through one window.
        batched: all passes of a step through one window as a batch.
        image: CLIP with the portrait.
        motion: the motion adapter with one window's features of all faces.
        encode, encode_tiled: the VAE with the condition of one window, whole or in tiles.
        decode, decode_tiled: the VAE with all frames, chunk by chunk.
        cached: bytes that a step cache keeps for one pass of one window; 0 without one.
    """

    windows: int
    forward: Cost
    batched: Cost
    image: Cost
    motion: Cost
    encode: Cost
    encode_tiled: Cost
    decode: Cost
    decode_tiled: Cost
    cached: int = 0


@dataclass(frozen=True)
class CostInputs:
    """What is the same for all profiles of one job on one machine."""

    machine: Machine
    throughput: Throughput
    model_size: ModelSize
    activations: ActivationCosts
    job: Workload
