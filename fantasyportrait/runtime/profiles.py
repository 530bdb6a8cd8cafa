"""The table of profiles: how the diffusion engine fits a GPU, by calls that diffusers has.

It imports no torch, so that the command line can list the names.
"""

from dataclasses import dataclass
from typing import Literal

from fantasyportrait.core.errors import RequestError
from fantasyportrait.core.suggest import did_you_mean

Weights = Literal["whole", "fp8", "int8", "nf4", "gguf"]
Offload = Literal["none", "model", "stream", "disk", "sequential"]


@dataclass(frozen=True)
class Profile:
    """One way to fit a GPU.

    Attributes:
        name: its name in the runtime config.
        weights: how the transformer's large matrices are stored: whole (in the compute dtype, or as in the GGUF file),
            fp8, int8, nf4, or gguf (the file's quantized blocks).
        offload: which weights are on the GPU: all (none), one model at a time (model), the current and the next block
            (stream, from pinned memory; disk, from a memory-mapped file), or one layer at a time (sequential).
        bits: bits for each element of a quantized matrix, scales included; 16 for whole weights.
        gpu_gib: memory of the GPUs that it is meant for.
        calls: the calls of the libraries that it makes.
        capability: the lowest CUDA compute capability.
        gpu_only: whether it needs a GPU.
        package, extra: a package that it needs, and the extra that installs it.
    """

    name: str
    weights: Weights
    offload: Offload
    bits: float
    gpu_gib: tuple[int, ...]
    calls: str
    capability: tuple[int, int] = (0, 0)
    gpu_only: bool = False
    package: str | None = None
    extra: str = "wan"

    @property
    def exact(self) -> bool:
        """Whether it computes with the model's weights unchanged."""
        return self.weights == "whole"

    @property
    def streams(self) -> bool:
        """Whether the transformer's weights are copied to the GPU in every forward pass."""
        return self.offload in ("stream", "disk", "sequential")


PROFILES: tuple[Profile, ...] = (
    Profile("resident", "whole", "none", 16, (80,), "pipeline.to(device)"),
    Profile("model-offload", "whole", "model", 16, (48,), "pipeline.enable_model_cpu_offload"),
    Profile(
        *("fp8", "fp8", "model", 8, (24,), "transformer.enable_layerwise_casting(float8_e4m3fn), model offload"),
        # float8 is for storage only; the computation in bfloat16 needs 8.0.
        capability=(8, 0),
    ),
    Profile(
        "int8",
        "int8",
        "model",
        8.1,
        (24,),
        "TorchAoConfig(Int8WeightOnlyConfig), model offload",
        package="torchao",
        extra="int8",
    ),
    Profile(
        *("nf4", "nf4", "model", 4.5, (24, 16), "BitsAndBytesConfig(load_in_4bit, nf4), model offload"),
        gpu_only=True,
        package="bitsandbytes",
    ),
    Profile(
        "gguf-q8",
        "gguf",
        "model",
        8.5,
        (24,),
        "GGUFQuantizationConfig of a Q8 file, model offload",
        package="gguf",
        extra="gguf",
    ),
    Profile(
        *("gguf-q4", "gguf", "model", 4.9, (24, 16), "GGUFQuantizationConfig of a Q4 file, model offload"),
        package="gguf",
        extra="gguf",
    ),
    Profile(
        *("stream", "whole", "stream", 16, (12, 8)),
        "pipeline.enable_group_offload(block_level, use_stream)",
    ),
    Profile(
        *("stream-disk", "whole", "disk", 16, (12, 8)),
        "the same from a mapped file: enable_group_offload(low_cpu_mem_usage)",
    ),
    Profile("sequential", "whole", "sequential", 16, (6,), "pipeline.enable_sequential_cpu_offload", gpu_only=True),
)
PROFILE_NAMES: tuple[str, ...] = tuple(profile.name for profile in PROFILES)


def get_profile(name: str) -> Profile:
    """The row of that name; `RequestError` for an unknown one."""
    for profile in PROFILES:
        if profile.name == name:
            return profile
    hint = did_you_mean(name, ("auto", *PROFILE_NAMES))
    raise RequestError(
        "profile is {name!r}{hint}: choose auto or one of {names}", name=name, hint=hint, names=", ".join(PROFILE_NAMES)
    )
