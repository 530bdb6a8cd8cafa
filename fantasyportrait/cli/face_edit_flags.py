"""The flags that edit the faces of a photo, for `animate` and `faces`."""

from typing import Annotated

import typer

AddFace = Annotated[
    list[str] | None,
    typer.Option(
        "--add-face",
        metavar="FACE=LEFT,TOP,RIGHT,BOTTOM",
        help="Add a face that was not found: a free number and a tight box in pixels of the photo. Repeatable.",
    ),
]
RemoveFace = Annotated[
    list[int] | None,
    typer.Option(
        "--remove-face", metavar="FACE", help="Leave out a face that was found; no other number changes. Repeatable."
    ),
]
