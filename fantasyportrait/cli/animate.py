"""`fantasyportrait animate`: flags to a request, and the request to a video."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fantasyportrait.cli.face_edit_flags import AddFace, RemoveFace
from fantasyportrait.cli.option_flags import Flags, Given, fields_given, flags_of
from fantasyportrait.cli.sampling_flags import runtime_config, runtime_flags, sampling_flags, sampling_overrides
from fantasyportrait.core.errors import RequestError

if TYPE_CHECKING:
    from fantasyportrait.schema.request import AnimationRequest

EPILOG = """\b
Cast: --cast FACE=SOURCE[#key=value[&key=value...]], once for each face.
  FACE    1, 2, 3 ... row by row, left to right (see `fantasyportrait faces PHOTO`)
  SOURCE  the path of a clip, a picture or a motion file (see `fantasyportrait motions export`),
          motion:NAME (see `fantasyportrait motions list`), still, or free: the diffusion
          model decides how the face moves
  keys    person        which person of the clip; the largest if not given
          start, end    part of the clip, in seconds
          delay         when it begins in the video, in seconds
          fill          loop, hold or pingpong: of a short clip; --fill if not given
          strength      0 to 2, default 1
          smoothing     0 to 1; --smoothing if not given
          head, eyes, emotion, mouth    on or off: what follows the driver
          mirror        on: swap the driver's left and right
A face that is not named stays still. --add-face 3=410,96,520,230 adds a face
that was not found, --remove-face 2 leaves out a false one. Quote a cast with & in it. A still picture
gives one expression, which the face holds; an animated WebP, PNG, AVIF or GIF
is a clip. A motion file is a .motion.json, or a .csv of ARKit curves such as
Live Link Face records.

\b
Engines: preview draws on the CPU, in seconds; wan is the diffusion model, and
flags marked [wan] apply to it only. The same request runs on both.

\b
Presets of wan, and what they cost:
  draft     4 steps with a LoRA that was trained at 480p without driven
            faces: a quick draft, motion may be weaker and detail coarser
  balanced  20 steps, a step cache, portrait guidance on the first 12 only:
            small movements may be lost
  faithful  30 steps of two passes, as in the original: the most time

\b
Examples:
  fantasyportrait animate photo.png --cast 1=a.mp4 --cast 2=b.mp4#person=2 \\
      --cast 3=motion:smile --cast 4=still --duration 8 -o out.mp4
  fantasyportrait animate photo.png --cast "1=a.mp4#start=2&end=6&head=off" --sound none -o out.webm
  fantasyportrait animate photo.png --cast 1=a.mp4 --cast "2=b.mp4#delay=4" --fps clip -o talk.mp4
  fantasyportrait animate photo.png --cast 1=motion:sing --sound "file:song.mp3#start=12.5" --duration sound
  fantasyportrait animate --request out.mp4.request.json -o again.mp4
  fantasyportrait animate --request out.mp4.request.json --engine wan --seed 7 -o wan.mp4
"""

Photo = Annotated[Path | None, typer.Argument(help="The portrait: a photo of one or several people.")]
Cast = Annotated[list[str] | None, typer.Option(metavar="FACE=SOURCE", help="What drives a face, see below.")]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        help="The video: .mp4, .webm, .gif, or no suffix for a folder of PNG frames; "
        "with preview .webm and PNG frames keep a photo's transparent parts. "
        "[default: PHOTO.animated.mp4 in the current folder, with a number if that file exists]",
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Without -o: replace the last PHOTO.animated.mp4.")]
Saved = Annotated[
    Path | None,
    typer.Option(
        "--request",
        help="Run a saved request, or the one in a video (.mp4, .webm, a folder of PNG frames); flags override it.",
    ),
]
Sandbox = Annotated[
    bool, typer.Option("--sandbox", help="Decode photo, clips and sound in child processes, for untrusted files.")
]
ModelsDir = Annotated[Path | None, typer.Option(help="Folder of the model files, to which small ones are fetched.")]


def animate_flags() -> Flags:
    """The flags: one for each field of the request, of its sampling and of the runtime config."""
    from fantasyportrait.schema.request import AnimationRequest

    return [*flags_of(AnimationRequest), *sampling_flags(), *runtime_flags()]


def animate(
    given: Given,
    photo: Photo = None,
    cast: Cast = None,
    output: Output = None,
    overwrite: Overwrite = False,
    saved: Saved = None,
    models_dir: ModelsDir = None,
    sandbox: Sandbox = False,
    added: AddFace = None,
    removed: RemoveFace = None,
) -> None:
    """Make a video in which each face of PHOTO acts its own clip or motion."""
    from fantasyportrait.cli.display import animate_with_progress, print_result
    from fantasyportrait.media.result_files import free_path
    from fantasyportrait.service.animator import Animator
    from fantasyportrait.workers.torchrun import run_distributed

    request = request_from(given, photo, cast or [], saved, added, removed)
    place = output or free_path(Path(f"{request.files[0].stem}.animated.mp4"), overwrite)
    machine = runtime_config(given)
    result = run_distributed(
        machine,
        lambda process_group: animate_with_progress(request, place, models_dir, machine, process_group, sandbox),
        Animator.run_rank,
    )
    if result is not None:
        print_result(result)


def request_from(
    given: Given,
    photo: Path | None,
    cast: Sequence[str],
    saved: Path | None,
    added: Sequence[str] | None = None,
    removed: Sequence[int] | None = None,
) -> "AnimationRequest":
    """A new request from flags, or a saved one in which they override fields. Raises `RequestError`."""
    from fantasyportrait.media.request_files import check_embedded, load_request
    from fantasyportrait.schema.cast import parse_role
    from fantasyportrait.schema.face_edits import FaceEdits
    from fantasyportrait.schema.request import AnimationRequest

    changes, sampling = fields_given(AnimationRequest, given), sampling_overrides(given)
    if photo is not None:
        changes["portrait"] = photo
    if cast:
        changes["cast"] = tuple(parse_role(text) for text in cast)
    edits: dict[str, Any] = {name: tuple(each) for name, each in (("added", added), ("removed", removed)) if each}
    if edits and saved is None:
        changes["face_edits"] = FaceEdits(**edits)
    if saved is None:
        _check_new(changes)
        request = AnimationRequest(**changes)
    else:
        request = load_request(saved)
        if photo is not None:
            changes["portrait_sha256"] = None
            # The boxes are of another photo.
            changes["face_edits"] = FaceEdits()
        if edits:
            changes["face_edits"] = replace(changes.get("face_edits", request.face_edits), **edits)
    request = replace(request, **changes, sampling=replace(request.sampling, **sampling))
    if saved is not None:
        check_embedded(request, saved)
    if sampling and request.engine == "preview":
        typer.echo("note: the preview ignores the flags of wan: add --engine wan to use them", err=True)
    return request


def _check_new(changes: Mapping[str, Any]) -> None:
    if "portrait" not in changes:
        raise RequestError("no photo is given: name one, or a saved request with --request")
    if "cast" not in changes:
        raise RequestError(
            "no --cast is given, so nothing would move: give a source for each face, for example  --cast 1=clip.mp4  "
            "--cast 2=motion:smile  (fantasyportrait faces PHOTO numbers the faces)"
        )
