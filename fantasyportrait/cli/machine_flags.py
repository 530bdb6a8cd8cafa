"""The flags that say where and how the diffusion engine computes; they are this machine's, never a request's."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from fantasyportrait.service.animator import Placement

Device = Annotated[
    str, typer.Option(help="[wan] A torch device such as cpu; auto takes the accelerator where there is one.")
]
Profile = Annotated[
    str,
    typer.Option(
        metavar="auto|NAME",
        help="[wan] How the model fits the card: see `fantasyportrait machine`; auto takes the fastest that fits.",
    ),
]
Precision = Annotated[
    str, typer.Option(metavar="auto|bfloat16|float16|float32", help="[wan] In which the transformer computes.")
]
Attention = Annotated[
    str,
    typer.Option(
        metavar="native|auto|flash|flash3|sage|flex",
        help="[wan] What computes attention: torch, an installed kernel, or the fastest installed (auto).",
    ),
]
Compile = Annotated[
    bool,
    typer.Option("--compile", help="[wan] Compile the transformer: the first step takes minutes, later ones less."),
]
Parallel = Annotated[
    str,
    typer.Option(
        metavar="none|auto|passes|tokens",
        help="[wan] How the processes of torchrun share a job: a pass each, or a part of the tokens each.",
    ),
]


def placement(device: str, profile: str, precision: str, attention: str, compile: bool, parallel: str) -> "Placement":
    """The flags as the engine takes them; raises `RequestError`."""
    from fantasyportrait.service.animator import Placement

    given: dict[str, Any] = {
        "device": device,
        "profile": profile,
        "precision": precision,
        "attention": attention,
        "compile": compile,
        "parallel": parallel,
    }
    return Placement(**given)
