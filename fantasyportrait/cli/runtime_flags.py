"""The flags that say where and how the diffusion engine computes; they are this machine's, never a request's."""

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from fantasyportrait.runtime.runtime_config import RuntimeConfig

Device = Annotated[
    str, typer.Option(help="[wan] A torch device such as cpu; auto takes the accelerator where there is one.")
]
Profile = Annotated[
    str,
    typer.Option(
        metavar="auto|NAME",
        help="[wan] How the model fits the GPU: see `fantasyportrait machine`; auto takes the fastest that fits.",
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
        metavar="none|auto|cfg|context",
        help="[wan] How the processes of torchrun share a job: a pass each, or a part of the tokens each.",
    ),
]
VramGib = Annotated[
    float | None,
    typer.Option(
        metavar="GIB",
        help="[wan] Reckon with so much memory of the GPU: less leaves room for others, more tries what would be "
        "refused. [default: what is free]",
    ),
]
RamGib = Annotated[
    float | None, typer.Option(metavar="GIB", help="[wan] The same of the machine's memory. [default: what is free]")
]


def runtime_config(given: Mapping[str, Any]) -> "RuntimeConfig":
    """The flags of the machine among all of a command's, by name, as the engine takes them; raises `RequestError`."""
    from fantasyportrait.runtime.runtime_config import RuntimeConfig

    return RuntimeConfig(**{field.name: given[field.name] for field in fields(RuntimeConfig) if field.name in given})
