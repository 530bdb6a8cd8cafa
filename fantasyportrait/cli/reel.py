"""`fantasyportrait reel`: several videos cut into one."""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from fantasyportrait.core.errors import RequestError

EPILOG = """\b
Examples:
  fantasyportrait reel a.mp4 b.webm c.gif --title "Three takes" --subtitle "one photo, three casts" -o reel.mp4
  fantasyportrait reel a.mp4 b.mp4 --caption "the photo speaks" --caption "and sings" --music song.mp3
  fantasyportrait reel a.mp4 b.mp4 --captions cast --fade 0 --size 1280x720 --fps 25

moviepy composes it: pip install "fantasyportrait[reel]"
"""

Clips = Annotated[list[Path], typer.Argument(help="Videos (.mp4, .webm, .gif ...) and pictures, in order.")]
Output = Annotated[Path, typer.Option("--output", "-o", help="The reel: .mp4, .webm or .gif.")]
Title = Annotated[str, typer.Option(help="Title, on a card at the beginning.")]
Subtitle = Annotated[str, typer.Option(help="A smaller line below the title.")]
Caption = Annotated[list[str] | None, typer.Option(help="Text at the foot of a clip; once for each, in order.")]
Captions = Annotated[
    str,
    typer.Option(
        metavar="none|name|cast", help="Captions from the names of the files, or from the cast of each video."
    ),
]
Fade = Annotated[float, typer.Option(help="Length of the cross-fades in seconds; 0 for cuts.")]
Music = Annotated[
    str | None,
    typer.Option(metavar="FILE[#start=SECONDS]", help="Background music, turned down while a clip has sound."),
]
MusicVolume = Annotated[float, typer.Option(help="Volume where no clip has sound, 0 to 1.")]
Size = Annotated[
    str | None, typer.Option(metavar="WxH", help="Of the reel. [default: the largest clip's, at most 1920]")
]
Fps = Annotated[str | None, typer.Option(help="Frames a second. [default: the fastest clip's, at most 60]")]
FontFile = Annotated[Path | None, typer.Option("--font", help="A .ttf or .otf file, for letters that are not Latin.")]


def reel(
    clips: Clips,
    output: Output = Path("reel.mp4"),
    title: Title = "",
    subtitle: Subtitle = "",
    caption: Caption = None,
    captions: Captions = "none",
    fade: Fade = 0.6,
    music: Music = None,
    music_volume: MusicVolume = 0.6,
    size: Size = None,
    fps: Fps = None,
    font: FontFile = None,
) -> None:
    """Cut several videos into one, with a title card, cross-fades, captions and music."""
    from fantasyportrait.reel.reel import Reel, make_reel
    from fantasyportrait.schema.request import read_rate
    from fantasyportrait.schema.sound_file import parse_sound_file

    if caption and captions != "none":
        raise RequestError("--caption and --captions are both given: keep one of them")
    asked = Reel(
        clips=tuple(clips),
        title=title,
        subtitle=subtitle,
        captions=tuple(caption) if caption else captions,  # type: ignore[arg-type]
        fade_s=fade,
        music=parse_sound_file(music) if music else None,
        music_volume=music_volume,
        size=_size(size),
        rate=read_rate(fps, "--fps") if fps else None,
        font=font,
    )
    with _progress() as progress:
        timeline = make_reel(asked, output, progress)
    typer.echo(f"reel: {output} ({float(timeline.duration_s):.1f} s)")


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    found = re.fullmatch("([0-9]{1,5})x([0-9]{1,5})", text)
    if not found:
        raise RequestError("--size is {text!r}: write width x height, for example 1280x720", text=text)
    return int(found[1]), int(found[2])


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """A progress bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as bars:
        bar = bars.add_task("cutting", total=None)
        yield lambda done, total: bars.update(bar, completed=done, total=total)
