"""Where and how the diffusion engine computes. No torch here: whoever only passes it on stays light."""

from dataclasses import dataclass
from typing import Literal

from fantasyportrait.core.errors import RequestError

Offload = Literal["auto", "none", "model", "stream", "sequential"]
Precision = Literal["auto", "bfloat16", "float16", "float32"]
OFFLOADS: tuple[Offload, ...] = ("auto", "none", "model", "stream", "sequential")
PRECISIONS: tuple[Precision, ...] = ("auto", "bfloat16", "float16", "float32")


@dataclass(frozen=True)
class Placement:
    """One machine's settings; they change speed and memory, not what is asked for.

    Attributes:
        device: a torch device such as cpu; auto takes the accelerator where there is one.
        offload: what stays on the device: all (none), one model at a time (model), one block at a time with the next
            one on its way (stream), one layer at a time (sequential). auto is none on the CPU, else model.
        precision: of the transformer; auto is bfloat16 where the device computes in it, else float16, float32 on the
            CPU.
    """

    device: str = "auto"
    offload: Offload = "auto"
    precision: Precision = "auto"

    def __post_init__(self) -> None:
        if self.offload not in OFFLOADS:
            raise RequestError(f"offload is {self.offload!r}: choose one of {', '.join(OFFLOADS)}")
        if self.precision not in PRECISIONS:
            raise RequestError(f"precision is {self.precision!r}: choose one of {', '.join(PRECISIONS)}")
