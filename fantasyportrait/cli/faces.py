"""`fantasyportrait faces`: lists the faces of a photo or the persons of a driving clip."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from fantasyportrait.cli.face_edit_flags import AddFace, RemoveFace
from fantasyportrait.core.limits import PRIVATE


def faces(
    file: Annotated[Path, typer.Argument(help="A photo, or a driving clip.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Save the picture with numbered boxes.")] = None,
    start: Annotated[float | None, typer.Option(min=0, help="Of a clip: list persons from this second on.")] = None,
    end: Annotated[float | None, typer.Option(min=0, help="Of a clip: list persons before this second.")] = None,
    added: AddFace = None,
    removed: RemoveFace = None,
    models_dir: Annotated[Path | None, typer.Option(help="Folder of the model files.")] = None,
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help="Decode the file in a child process, for untrusted files.")
    ] = False,
) -> None:
    """List the faces of a photo, numbered row by row, left to right, as in --cast, or the persons of a clip.

    Boxes of faces are pixels of the file, also those of --add-face. The persons of a clip have the same numbers for
    every --start and --end.
    """
    from fantasyportrait.core.errors import RequestError
    from fantasyportrait.sandbox.decoder_factory import make_decoder
    from fantasyportrait.schema.face_edits import FaceEdits
    from fantasyportrait.service.input_reader import InputReader
    from fantasyportrait.service.listing import is_clip, list_clip, list_photo

    if output and output.resolve() == file.resolve():
        raise RequestError("the picture with boxes would overwrite {file} itself: choose another --output", file=file)
    inputs = InputReader(models_dir, decoder=make_decoder(PRIVATE, sandbox))
    shows_clip = is_clip(file)
    if not shows_clip and (start is not None or end is not None):
        raise RequestError(
            "--start and --end choose a part of a clip, and {file} is a photo: leave them out", file=file
        )
    edits = FaceEdits(tuple(added or ()), tuple(removed or ()))
    if shows_clip and edits:
        raise RequestError(
            "--add-face and --remove-face edit the faces of a photo, and {file} is a clip: leave them out", file=file
        )
    listing = list_clip(inputs, file, start or 0.0, end) if shows_clip else list_photo(inputs, file, edits)
    if output:
        listing.save_picture(output)
    if as_json:
        name = "persons" if shows_clip else "faces"
        data = {"file": str(file), "size": list(listing.size), name: listing.rows, "messages": listing.messages}
        typer.echo(json.dumps(data, indent=2))
        return
    for row in listing.rows:
        typer.echo(_line("person" if shows_clip else "face", row))
    for message in listing.messages:
        typer.echo(f"note: {message}")
    if output:
        typer.echo(f"picture: {output}")


def _line(noun: str, row: dict[str, Any]) -> str:
    left, top, right, bottom = (round(value) for value in row["box"])
    words = f"{noun} {row['id']}: x {left} to {right}, y {top} to {bottom}"
    if "pose" in row:
        return f"{words}, yaw {row['pose']['yaw']:+.0f}, pitch {row['pose']['pitch']:+.0f} degrees"
    seen = f"seen in {row['frames_seen']} of {row['frames']} frames"
    return f"{words}, {seen}, first at {row['first_seen_s']:g} s, last at {row['last_seen_s']:g} s"
