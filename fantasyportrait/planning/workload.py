"""What a model holds and what a job asks of it, counted: the numbers that an estimate starts from. All in bytes."""

import math
from dataclasses import dataclass, field, replace

from fantasyportrait.models.token_windows import FRAMES_PER_LATENT
from fantasyportrait.pipelines.time_windows import WINDOW_FRAMES
from fantasyportrait.planning.machine import Machine
from fantasyportrait.planning.throughput import Throughput
from fantasyportrait.runtime.profiles import Profile
from fantasyportrait.schema.guidance import max_passes, total_passes
from fantasyportrait.schema.sampling import Sampling

MIN_FRAMES = 5


@dataclass(frozen=True)
class Workload:
    """A job, as far as its time and memory are concerned.

    Attributes:
        width, height: pixels, multiples of 16.
        frames: sampled, 4 k + 1.
        faces: number of driven faces.
        sampling: steps, guidance, windows, batch and step cache.
        lora_bytes: size of the LoRA's file, 0 without a LoRA.
    """

    width: int
    height: int
    frames: int
    faces: int = 1
    sampling: Sampling = field(default_factory=Sampling)
    lora_bytes: int = 0

    @property
    def window_frames(self) -> int:
        """Frames sampled at once: all of them, or those of one window."""
        return self.frames if self.frames <= self.sampling.max_window_frames else WINDOW_FRAMES

    @property
    def passes(self) -> float:
        """Forward passes in a step, on average."""
        return total_passes(self.sampling, motion=self.faces > 0) / self.sampling.num_inference_steps

    @property
    def max_passes(self) -> int:
        """The largest number of passes in one step."""
        return max_passes(self.sampling, motion=self.faces > 0)

    def in_windows(self) -> "Workload":
        """The same job, sampled in windows of 81 frames."""
        at_once = min(self.sampling.max_window_frames, WINDOW_FRAMES)
        return replace(self, sampling=replace(self.sampling, max_window_frames=at_once))


def sampled_frames(frames: int) -> int:
    """The smallest 4 k + 1 from `frames` on, at least 5."""
    return max(MIN_FRAMES, FRAMES_PER_LATENT * math.ceil((frames - 1) / FRAMES_PER_LATENT) + 1)


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
