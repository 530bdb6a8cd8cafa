"""The flags that say where and how the diffusion engine computes; they are this machine's, never a request's."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from fantasyportrait.service.animator import Placement

Device = Annotated[
    str, typer.Option(help="[wan] A torch device such as cpu; auto takes the accelerator where there is one.")
]
Offload = Annotated[
    str,
    typer.Option(
        metavar="auto|none|model|stream|sequential",
        help="[wan] What stays on the device: everything (none), or one model, one block (stream) or one layer "
        "(sequential) at a time, each with less memory and more time.",
    ),
]
Precision = Annotated[
    str, typer.Option(metavar="auto|bfloat16|float16|float32", help="[wan] The number type of the transformer.")
]


def placement(device: str, offload: str, precision: str) -> "Placement":
    """The flags as the engine takes them; raises `RequestError`."""
    from fantasyportrait.service.animator import Placement

    given: dict[str, Any] = {"device": device, "offload": offload, "precision": precision}
    return Placement(**given)
