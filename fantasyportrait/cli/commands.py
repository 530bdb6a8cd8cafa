"""The commands, their groups and their help."""

from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from fantasyportrait import __version__
from fantasyportrait.cli.animate import EPILOG as ANIMATE_EPILOG, animate, animate_flags
from fantasyportrait.cli.app_command import app_command
from fantasyportrait.cli.faces import faces
from fantasyportrait.cli.machine import EPILOG as MACHINE_EPILOG, machine, machine_flags
from fantasyportrait.cli.motions import export_clip, list_motions, render_motion
from fantasyportrait.cli.option_flags import Flags, with_flags
from fantasyportrait.cli.reel import EPILOG as REEL_EPILOG, reel
from fantasyportrait.cli.sampling_flags import worker_flags
from fantasyportrait.cli.weights import FETCH_EPILOG, fetch_weights, list_weights, make_tiny, verify_weights
from fantasyportrait.cli.workers import EPILOG as WORKERS_EPILOG, workers
from fantasyportrait.core.errors import Cancelled

HELP = """Animate the people of a photo, each by a driving clip of their own.

\b
  fantasyportrait faces photo.png                     numbers its faces
  fantasyportrait motions list                        lists the built-in motions
  fantasyportrait animate photo.png --cast 1=a.mp4 --cast 2=motion:smile -o out.mp4
"""

EPILOG = """\b
Exit codes:
    0  done
    1  unexpected error (--debug shows where)
    2  the request is wrong: a flag, a cast, a face that the photo does not have
    3  a photo, clip or sound cannot be read
    4  no usable face
    5  a model file is missing or wrong
    6  an optional package is missing
    7  the result cannot be written
  130  stopped by Ctrl-C
  129, 143  stopped by a terminal that was closed, by SIGTERM
"""


class Group(TyperGroup):
    """The top-level commands. Ctrl-C raises `Cancelled`, since typer would handle `KeyboardInterrupt` itself."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Cancelled("stopped") from None


def build_app(asked: str | None = None) -> typer.Typer:
    """The typer app with all commands.

    The flags that come from options are made for the command `asked` alone, as they import its dataclasses; for all
    commands by default.
    """
    plain = {"no_args_is_help": True, "rich_markup_mode": None, "add_completion": False}
    tree = typer.Typer(cls=Group, help=HELP, epilog=EPILOG, pretty_exceptions_enable=False, **plain)  # type: ignore[arg-type]
    tree.callback()(_options)

    def add(name: str, command: Callable[..., None], flags: Callable[[], Flags], epilog: str | None = None) -> None:
        made = flags() if asked in (None, name) else ()
        tree.command(name, epilog=epilog)(with_flags(command, made))

    add("animate", animate, animate_flags, ANIMATE_EPILOG)
    tree.command()(faces)
    tree.command(epilog=REEL_EPILOG)(reel)
    motions = typer.Typer(help="The built-in motions, and motions of clips as files.", **plain)  # type: ignore[arg-type]
    motions.command("list")(list_motions)
    motions.command("render")(render_motion)
    motions.command("export")(export_clip)
    tree.add_typer(motions, name="motions")
    weights = typer.Typer(help="The model files: list, fetch, verify, make-tiny.", **plain)  # type: ignore[arg-type]
    weights.command("list")(list_weights)
    weights.command("fetch", epilog=FETCH_EPILOG)(fetch_weights)
    weights.command("verify")(verify_weights)
    weights.command("make-tiny")(make_tiny)
    tree.add_typer(weights, name="weights")
    add("machine", machine, machine_flags, MACHINE_EPILOG)
    add("app", app_command, worker_flags)
    add("workers", workers, worker_flags, WORKERS_EPILOG)
    return tree


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options before the command. Errors are caught outside of typer, so `main` handles --debug."""
