"""`fantasyportrait motions`: lists the built-in motions and renders one."""

from pathlib import Path
from typing import Annotated

import typer


def list_motions() -> None:
    """List the built-in motions; use one as --cast FACE=motion:NAME."""
    from fantasyportrait.schema.builtin_motions import BUILTIN_MOTIONS

    for name, about in BUILTIN_MOTIONS.items():
        typer.echo(f"{name:<12} {about}")


def render_motion(
    name: Annotated[str, typer.Argument(help="A name of `fantasyportrait motions list`.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The video to write.")],
    duration: Annotated[float, typer.Option(help="Seconds.")] = 4.0,
    photo: Annotated[Path | None, typer.Option(help="Photo of the faces. [default: the bundled example]")] = None,
    models_dir: Annotated[Path | None, typer.Option(help="Folder of the model files.")] = None,
) -> None:
    """Render a built-in motion onto every face of a photo."""
    from fantasyportrait.cli.display import animate_with_progress, print_result
    from fantasyportrait.core.paths import example_photo
    from fantasyportrait.schema.cast import BuiltinSource, Role
    from fantasyportrait.schema.request import AnimationRequest
    from fantasyportrait.service.input_reader import InputReader

    source = BuiltinSource(name)
    portrait = photo or example_photo()
    _, faces = InputReader(models_dir).faces(portrait)
    cast = tuple(Role(face.id, source) for face in faces)
    request = AnimationRequest(portrait, cast, duration=duration, side_by_side=False)
    print_result(animate_with_progress(request, output, models_dir))
