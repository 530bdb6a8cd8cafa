"""The inputs of an estimate: a job's workload, a model's size, and the cost of each phase. All sizes in bytes."""

from dataclasses import dataclass, field, replace

from fantasyportrait.pipelines.time_windows import WINDOW_FRAMES
from fantasyportrait.planning.machine import Machine
from fantasyportrait.planning.throughput import Throughput
from fantasyportrait.runtime.profiles import Profile
from fantasyportrait.schema.guidance import max_passes, total_passes
from fantasyportrait.schema.sampling import Sampling


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


@dataclass(frozen=True)
class ModelSize:
    """The weights of a model, counted from the shapes in its configs.

    Attributes:
        name: the model's, for the log of step times.
        matrices: elements of the matrices that quantizers convert.
        bytes_per_number: size of one such element in the transformer's dtype.
        rest: all other weights of the transformer, as loaded.
        blocks: number of transformer blocks.
        block: one block, as loaded.
        pinned: all components in pinned memory, where torch rounds each tensor up to a power of two.
        largest_matrix: the transformer's largest matrix, as loaded.
        vae, image_encoder, motion_adapter: the other components in float32, as loaded.
        gguf: the transformer of a GGUF file; None for an unquantized model.
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
        """The whole transformer in its compute dtype."""
        return self.matrices * self.bytes_per_number + self.rest

    @property
    def outside(self) -> int:
        """The transformer's weights outside its blocks."""
        return self.whole - self.blocks * self.block

    @property
    def other_components(self) -> int:
        """All components but the transformer."""
        return self.vae + self.image_encoder + self.motion_adapter

    @property
    def gguf_profile(self) -> str | None:
        """The profile for the GGUF file, by its bits per element; None for an unquantized model."""
        if self.gguf is None:
            return None
        bits = 8 * (self.gguf - self.rest) / max(self.matrices, 1)
        return "gguf-q8" if bits > 7 else "gguf-q4"

    def held(self, profile: Profile) -> int:
        """The whole transformer as the profile stores it."""
        if self.gguf is not None:
            return self.gguf
        if profile.exact:
            return self.whole
        return int(self.matrices * profile.bits / 8) + self.rest


@dataclass(frozen=True)
class Cost:
    """The cost of one computation: peak bytes beyond the weights, and floating point operations."""

    peak: int
    flop: int


@dataclass(frozen=True)
class ActivationCosts:
    """The cost of each phase of a job, traced on the meta device.

    Attributes:
        windows: number of windows over time; every step runs through all of them.
        forward: one forward pass of the transformer on one window.
        batched: all passes of a step on one window, as a batch.
        image: CLIP on the portrait.
        motion: the motion adapter on one window's features of all faces.
        encode, encode_tiled: the VAE's encoder on the condition of one window, whole or in tiles.
        decode, decode_tiled: the VAE's decoder on all frames, chunk by chunk, whole or in tiles.
        cached: bytes that a step cache keeps for one pass of one window; 0 without a cache.
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
    """The inputs that all profiles share for one job on one machine."""

    machine: Machine
    throughput: Throughput
    model_size: ModelSize
    activations: ActivationCosts
    job: Workload
