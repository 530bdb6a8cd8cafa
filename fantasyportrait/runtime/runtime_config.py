"""Settings of the diffusion engine for one machine. It imports no torch, so that the command line loads quickly."""

from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from fantasyportrait.core.errors import RequestError
from fantasyportrait.runtime.profiles import get_profile
from fantasyportrait.schema.options import Option, check_options

Precision = Literal["auto", "bfloat16", "float16", "float32"]
Attention = Literal["native", "auto", "flash", "flash3", "sage", "flex"]
Parallel = Literal["none", "auto", "cfg", "context"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
ATTENTIONS: tuple[Attention, ...] = get_args(Attention)


@dataclass(frozen=True)
class RuntimeConfig:
    """Settings of one machine, which change speed and memory but not the request."""

    # fmt: off
    device: Annotated[str, Option(
        "A torch device such as cpu; auto takes the accelerator if there is one", "device",
    )] = "auto"
    profile: Annotated[str, Option(
        "How the model fits the GPU: see `fantasyportrait machine`; auto takes the fastest that fits machine and job",
        "memory", metavar="auto|NAME",
    )] = "auto"
    precision: Annotated[Precision, Option(
        "Compute dtype of the transformer; auto is bfloat16 if the device has it, else float16, and float32 on the CPU",
        "speed",
    )] = "auto"
    attention: Annotated[Attention, Option(
        "The attention kernel: torch's own (native), an installed one by name, or the fastest installed one (auto); a "
        "kernel that gives wrong results on this machine is not used",
        "speed",
    )] = "native"
    compile: Annotated[bool, Option(
        "Compile the transformer's blocks: the first step takes minutes, later ones less", "speed", flag="--compile",
    )] = False
    parallel: Annotated[Parallel, Option(
        "How the processes of torchrun share a job: the passes of a step (cfg), the tokens of a pass (context), or cfg "
        "for two processes and context for more (auto)",
        "speed",
    )] = "none"
    vram_gib: Annotated[float | None, Option(
        "GPU memory that the planner assumes: more tries what would be refused, less leaves memory to other programs",
        "memory", metavar="GIB", default_text="the available memory",
    )] = None
    ram_gib: Annotated[float | None, Option(
        "The same for the memory of the host", "memory", metavar="GIB", default_text="the available memory",
    )] = None
    # fmt: on

    def __post_init__(self) -> None:
        if self.profile != "auto":
            get_profile(self.profile)
        check_options(self)
        for name in ("vram_gib", "ram_gib"):
            gib = getattr(self, name)
            if gib is not None and not gib > 0:
                raise RequestError("{name} is {gib}: give a number of GiB above 0", name=name, gib=gib)
