"""`fantasyportrait motions`: lists the built-in motions, renders one, and exports the motion of a clip."""

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


def export_clip(
    clip: Annotated[Path, typer.Argument(help="A driving clip, a picture or a motion file.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The file to write: .motion.json, or .csv for ARKit curves.")
    ],
    person: Annotated[int | None, typer.Option(help="Which person of the clip. [default: the largest]")] = None,
    start: Annotated[float, typer.Option(help="Where the part that is used begins, in seconds.")] = 0.0,
    end: Annotated[float | None, typer.Option(help="Where it ends. [default: the clip's end]")] = None,
    fps: Annotated[str | None, typer.Option(help="Rows a second. [default: the clip's own]")] = None,
    models_dir: Annotated[Path | None, typer.Option(help="Folder of the model files.")] = None,
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help="Decode the clip in a child process, for untrusted files.")
    ] = False,
) -> None:
    """Write the motion of a person of a clip to a file, which drives a face as the clip does (--cast 1=FILE).

    .motion.json holds the landmarks, blendshapes and head pose of every frame, .csv the 52 ARKit curves and the head's
    rotation as Live Link Face writes them.
    """
    from fantasyportrait.cli.display import show_tracking
    from fantasyportrait.core.limits import PRIVATE
    from fantasyportrait.sandbox.decoder_factory import make_decoder
    from fantasyportrait.schema.cast import ClipSource
    from fantasyportrait.schema.request import read_rate
    from fantasyportrait.service.input_reader import InputReader
    from fantasyportrait.service.motion_export import check_motion_output, export_motion

    source = ClipSource(clip, person, start, end)
    rate = None if fps is None else read_rate(fps, "--fps")
    check_motion_output(clip, output)
    inputs = InputReader(models_dir, decoder=make_decoder(PRIVATE, sandbox))
    with show_tracking() as progress:
        made = export_motion(inputs, source, output, rate=rate, progress=progress)
    for message in made.messages:
        typer.echo(f"note: {message}")
    typer.echo(f"motion: {made.path} (person {made.person}, {made.frames} frames at {float(made.rate):.5g} a second)")
