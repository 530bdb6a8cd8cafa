"""Where and how the diffusion engine computes, without importing torch."""

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
    """One machine's settings; they change speed and memory, not what is asked for."""

    # fmt: off
    device: Annotated[str, Option(
        "A torch device such as cpu; auto takes the accelerator where there is one", "device",
    )] = "auto"
    profile: Annotated[str, Option(
        "How the model fits the GPU: see `fantasyportrait machine`; auto takes the fastest that fits machine and job",
        "memory", metavar="auto|NAME",
    )] = "auto"
    precision: Annotated[Precision, Option(
        "Precision of the transformer; auto is bfloat16 where the device has it, else float16, on the CPU float32",
        "speed",
    )] = "auto"
    attention: Annotated[Attention, Option(
        "What computes attention: torch, an installed kernel, or the fastest installed (auto); a kernel that gives "
        "wrong results on this machine is left out",
        "speed",
    )] = "native"
    compile: Annotated[bool, Option(
        "Compile the transformer: the first step takes minutes, later ones less", "speed", flag="--compile",
    )] = False
    parallel: Annotated[Parallel, Option(
        "How the processes of torchrun share a job: a pass each (cfg), a part of the tokens each (context), or cfg for "
        "two and context for more (auto)",
        "speed",
    )] = "none"
    vram_gib: Annotated[float | None, Option(
        "Memory of the GPU to plan with: less leaves room for others, more tries what would be refused",
        "memory", metavar="GIB", default_text="what is free",
    )] = None
    ram_gib: Annotated[float | None, Option(
        "The same of the machine's memory", "memory", metavar="GIB", default_text="what is free",
    )] = None
    # fmt: on

    def __post_init__(self) -> None:
        if self.profile != "auto":
            get_profile(self.profile)
        check_options(self)
        for name in ("vram_gib", "ram_gib"):
            gib = getattr(self, name)
            if gib is not None and not gib > 0:
                raise RequestError(f"{name} is {gib}: give a number of GiB above 0")
