"""`fantasyportrait animate`: flags to a request, and the request to a video."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fantasyportrait.core.errors import RequestError

if TYPE_CHECKING:
    from fantasyportrait.service.request import AnimationRequest

EPILOG = """\b
Cast: --cast FACE=SOURCE[#key=value[&key=value...]], once for each face.
  FACE    1, 2, 3 ... from left to right (see `fantasyportrait faces PHOTO`)
  SOURCE  the path of a clip, motion:NAME (see `fantasyportrait motions list`), or still
  keys    person        which person of the clip; the largest if not given
          start, end    part of the clip, in seconds
          strength      0 to 2, default 1
          head, eyes, emotion, mouth    on or off: what follows the driver
          mirror        on: swap the driver's left and right
A face that is not named stays still. Quote a cast with & in it.

\b
Examples:
  fantasyportrait animate photo.png --cast 1=a.mp4 --cast 2=b.mp4#person=2 \\
      --cast 3=motion:smile --cast 4=still --duration 8 -o out.mp4
  fantasyportrait animate photo.png --cast "1=a.mp4#start=2&end=6&head=off" --sound none -o out.webm
  fantasyportrait animate --request out.request.json -o again.mp4
"""


def animate(
    photo: Annotated[Path | None, typer.Argument(help="The portrait: a photo of one or several people.")] = None,
    cast: Annotated[
        list[str] | None, typer.Option("--cast", metavar="FACE=SOURCE", help="Who plays what; see below.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The video: .mp4, .webm, .gif, or no suffix for a folder of PNG frames. "
            "[default: PHOTO.animated.mp4 in the current folder]",
        ),
    ] = None,
    duration: Annotated[
        str | None, typer.Option(help="longest or shortest clip of the cast, or seconds. [default: longest]")
    ] = None,
    fps: Annotated[str | None, typer.Option(help="Frames a second, such as 25 or 30000/1001. [default: 25]")] = None,
    fill: Annotated[
        str | None, typer.Option(help="A clip that is too short will loop, hold or pingpong. [default: loop]")
    ] = None,
    absolute: Annotated[
        bool | None,
        typer.Option("--absolute/--relative", help="Take over the driver's pose itself. [default: relative]"),
    ] = None,
    smoothing: Annotated[
        float | None, typer.Option(help="Of the driver's motion, 0 (none) to 1. [default: 0.5]")
    ] = None,
    sound: Annotated[
        str | None, typer.Option(help="auto or mix (of all clips), none, face:N or file:PATH. [default: auto]")
    ] = None,
    max_side: Annotated[
        int | None, typer.Option(help="Reduce a larger photo to this many pixels. [default: 1280]")
    ] = None,
    side_by_side: Annotated[
        bool | None,
        typer.Option(
            "--side-by-side/--no-side-by-side", help="Also show drivers, photo and result in one video. [default: yes]"
        ),
    ] = None,
    engine: Annotated[str | None, typer.Option(help="What makes the frames. [default: preview]")] = None,
    request: Annotated[
        Path | None, typer.Option(help="Run a saved request again; flags given beside it change it.")
    ] = None,
    models_dir: Annotated[Path | None, typer.Option(help="Where the model files lie or shall be put.")] = None,
) -> None:
    """Make a video in which each face of PHOTO acts its own clip or motion."""
    from fantasyportrait.cli.display import animate_with_progress, print_result
    from fantasyportrait.service.cast import parse_role

    given: dict[str, Any] = {
        "portrait": photo,
        "cast": tuple(parse_role(text) for text in cast) if cast else None,
        "duration": None if duration is None else _duration(duration),
        "rate": None if fps is None else _rate(fps),
        "fill": fill,
        "absolute": absolute,
        "smoothing": smoothing,
        "sound": sound,
        "max_side": max_side,
        "side_by_side": side_by_side,
        "engine": engine,
    }
    job = _request(request, {name: value for name, value in given.items() if value is not None})
    place = output or Path(f"{job.portrait.stem}.animated.mp4")
    print_result(animate_with_progress(job, place, models_dir))


def _request(saved: Path | None, given: dict[str, Any]) -> "AnimationRequest":
    """The saved request with the given changes, or a new one."""
    from fantasyportrait.service.request import AnimationRequest, load_request

    if saved is not None:
        if "portrait" in given:
            given["portrait_sha256"] = None
        return replace(load_request(saved), **given)
    if "portrait" not in given:
        raise RequestError("no photo is given: name one, or a saved request with --request")
    if "cast" not in given:
        raise RequestError(
            "no --cast is given, so nothing would move: say who plays what, for example  --cast 1=clip.mp4  "
            "--cast 2=motion:smile  (fantasyportrait faces PHOTO numbers the faces)"
        )
    return AnimationRequest(**given)


def _duration(text: str) -> float | str:
    if text in ("longest", "shortest"):
        return text
    try:
        return float(text)
    except ValueError as error:
        raise RequestError(f"--duration is {text!r}: give longest, shortest or a number of seconds") from error


def _rate(text: str) -> object:
    from fantasyportrait.service.request import read_rate

    return read_rate(text)
