"""Settings of the diffusion engine for one machine. It imports no torch, so that the command line loads quickly."""

from dataclasses import dataclass
from typing import Literal

from fantasyportrait.core.errors import RequestError
from fantasyportrait.core.suggest import did_you_mean
from fantasyportrait.runtime.profiles import get_profile

Precision = Literal["auto", "bfloat16", "float16", "float32"]
Attention = Literal["native", "auto", "flash", "flash3", "sage", "flex"]
Parallel = Literal["none", "auto", "cfg", "context"]
PRECISIONS: tuple[Precision, ...] = ("auto", "bfloat16", "float16", "float32")
ATTENTIONS: tuple[Attention, ...] = ("native", "auto", "flash", "flash3", "sage", "flex")
PARALLELS: tuple[Parallel, ...] = ("none", "auto", "cfg", "context")


@dataclass(frozen=True)
class RuntimeConfig:
    """Settings of one machine, which change speed and memory but not the request.

    Attributes:
        device: a torch device such as cpu; auto takes the accelerator if there is one.
        profile: a name of `PROFILES`; auto takes the fastest that fits the machine and the job.
        precision: compute dtype of the transformer; auto is bfloat16 if the device has it, else float16, and float32 on
            the CPU.
        attention: the kernel for attention over the video's tokens: torch's own (native), an installed one by name, or
            the fastest installed one (auto); a kernel that gives wrong results on this machine is not used.
        compile: compile the transformer's blocks; the first step then takes minutes.
        parallel: how processes that torchrun started share a job: the passes of a step (cfg), the tokens of a pass
            (context), or cfg for two processes and context for more (auto).
        vram_gib, ram_gib: memory of the device and of the host that the planner assumes; None: the available memory.
            More tries a profile that would be refused, less leaves memory to other programs.
    """

    device: str = "auto"
    profile: str = "auto"
    precision: Precision = "auto"
    attention: Attention = "native"
    compile: bool = False
    parallel: Parallel = "none"
    vram_gib: float | None = None
    ram_gib: float | None = None

    def __post_init__(self) -> None:
        if self.profile != "auto":
            get_profile(self.profile)
        for name, choices in (("precision", PRECISIONS), ("attention", ATTENTIONS), ("parallel", PARALLELS)):
            value = getattr(self, name)
            if value not in choices:
                raise RequestError(
                    f"{name} is {value!r}{did_you_mean(value, choices)}: choose one of {', '.join(choices)}"
                )
        for name in ("vram_gib", "ram_gib"):
            gib = getattr(self, name)
            if gib is not None and not gib > 0:
                raise RequestError(f"{name} is {gib}: give a number of GiB above 0")
