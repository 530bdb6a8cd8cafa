"""The command line's entry: commands, errors as one sentence, exit codes."""

import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer

from fantasyportrait import __version__
from fantasyportrait.cli.animate import EPILOG as ANIMATE_EPILOG, animate
from fantasyportrait.cli.app_command import app_command
from fantasyportrait.cli.faces import faces
from fantasyportrait.cli.machine import EPILOG as MACHINE_EPILOG, machine
from fantasyportrait.cli.motions import list_motions, render_motion
from fantasyportrait.cli.weights import FETCH_EPILOG, fetch_weights, list_weights, make_toy, verify_weights
from fantasyportrait.cli.workers import EPILOG as WORKERS_EPILOG, workers
from fantasyportrait.core.errors import Cancelled, FantasyPortraitError, RequestError

HELP = """Animate the people of a photo, each by a driving clip of their own.

\b
  fantasyportrait faces photo.png                     who is in the photo
  fantasyportrait motions list                        which motions are built in
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
"""


def build_app() -> typer.Typer:
    """The tree of commands."""
    plain = {"no_args_is_help": True, "rich_markup_mode": None, "add_completion": False}
    tree = typer.Typer(help=HELP, epilog=EPILOG, pretty_exceptions_enable=False, **plain)  # type: ignore[arg-type]
    tree.callback()(_options)
    tree.command(epilog=ANIMATE_EPILOG)(animate)
    tree.command()(faces)
    motions = typer.Typer(help="The built-in motions.", **plain)  # type: ignore[arg-type]
    motions.command("list")(list_motions)
    motions.command("render")(render_motion)
    tree.add_typer(motions, name="motions")
    weights = typer.Typer(help="The model files: list, fetch, verify, make-toy.", **plain)  # type: ignore[arg-type]
    weights.command("list")(list_weights)
    weights.command("fetch", epilog=FETCH_EPILOG)(fetch_weights)
    weights.command("verify")(verify_weights)
    weights.command("make-toy")(make_toy)
    tree.add_typer(weights, name="weights")
    tree.command(epilog=MACHINE_EPILOG)(machine)
    tree.command("app")(app_command)
    tree.command(epilog=WORKERS_EPILOG)(workers)
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
    """Options before the command. Errors are caught outside of typer, so `main` takes --debug out itself."""


app = build_app()
_MAY_BE_EMPTY = ("--prompt", "--negative-prompt")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; an error becomes one sentence on stderr."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    given = [word for word in given if word != "--debug"]
    try:
        _check_no_empty_word(given)
        app(given, prog_name="fantasyportrait")
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else 0
    except FantasyPortraitError as error:
        return _report(error, str(error), error.exit_code, debug)
    except KeyboardInterrupt as error:
        return _report(error, "stopped", Cancelled.exit_code, debug)
    except Exception as error:  # the last resort: a bug is said in a sentence too
        text = f"unexpected error: {type(error).__name__}: {error} (run with --debug to see where)"
        return _report(error, text, 1, debug)
    return 0


def _check_no_empty_word(words: Sequence[str]) -> None:
    """Refuse "", mostly a shell variable that is not set: as a path it would be the current folder."""
    for before, word in zip(["", *words], words, strict=False):
        flag = word[:-1] if word.startswith("--") and word.endswith("=") else before if not word else ""
        if (not word or flag) and flag not in _MAY_BE_EMPTY:
            which = flag if flag.startswith("-") else "an argument"
            raise RequestError(f"{which} is an empty text: give a value, or leave it out")


def _report(error: BaseException, text: str, code: int, debug: bool) -> int:
    if debug:
        traceback.print_exception(error)
    typer.secho(f"error: {text}", fg="red", err=True)
    return code
