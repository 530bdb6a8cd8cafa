"""Where and how the diffusion engine computes. No torch here: whoever only passes it on stays light."""

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
    """One machine's settings; they change speed and memory, not what is asked for.

    Attributes:
        device: a torch device such as cpu; auto takes the accelerator where there is one.
        profile: a name of `PROFILES`; auto takes the fastest that fits the machine and the job.
        precision: in which the transformer computes; auto is bfloat16 where the device has it, else float16, float32
            on the CPU.
        attention: what computes attention over the video's tokens: torch's own (native), an installed kernel, or the
            fastest one that is installed (auto); a kernel that gives wrong results on this machine is left out.
        compile: compile the transformer's block; the first step then takes minutes.
        parallel: how processes that torchrun started share a job: a pass each (cfg), a part of the tokens each
            (context), or cfg for two and context for more (auto).
        vram_gib, ram_gib: memory of the device and of the machine to reckon with; None: what is found to be free. More
            tries a profile that would be refused, less leaves room for others.
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
