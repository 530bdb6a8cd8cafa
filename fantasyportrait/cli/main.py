"""The entry of the command line: signals, errors as one sentence, exit codes. Commands are imported late."""

import sys
from collections.abc import Sequence

from fantasyportrait.cli.signals import SignalHandler, handle_signals
from fantasyportrait.core.errors import Cancelled, FantasyPortraitError, RequestError

_MAY_BE_EMPTY = ("--prompt", "--negative-prompt", "--title", "--subtitle", "--caption")


def main(arguments: Sequence[str] | None = None, *, exiting: bool | None = None) -> int:
    """Run the command line and return its exit code; an error becomes one sentence on stderr.

    `exiting`: the process exits after this call, so later signals are ignored; default: True without `arguments`.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    given = [word for word in given if word != "--debug"]
    with handle_signals(arguments is None if exiting is None else exiting) as signal_handler:
        try:
            code = _run(given, signal_handler, debug)
            signal_handler.disarm()
        except KeyboardInterrupt as error:
            code = _report(error, "stopped", signal_handler.code, debug)
    return code


def app(arguments: Sequence[str], prog_name: str) -> None:
    """Load the commands and run one; ends in SystemExit."""
    from fantasyportrait.cli.commands import build_app

    build_app(asked=arguments[0] if arguments else "")(arguments, prog_name=prog_name)


def _run(given: Sequence[str], signal_handler: SignalHandler, debug: bool) -> int:
    try:
        _check_no_empty_word(given)
        app(given, prog_name="fantasyportrait")
    except SystemExit as done:
        code = done.code if isinstance(done.code, int) else 0
        # A command that runs until Ctrl-C succeeds when Ctrl-C ends it.
        return (
            code if signal_handler.number is None or (code == 0 and signal_handler.code == 130) else signal_handler.code
        )
    except Cancelled as error:
        return _report(error, str(error), signal_handler.code, debug)
    except FantasyPortraitError as error:
        return _report(error, str(error), error.exit_code, debug)
    except Exception as error:  # a bug: reported as one sentence too
        if signal_handler.number is not None:
            return _report(error, "stopped", signal_handler.code, debug)
        text = f"unexpected error: {type(error).__name__}: {error} (run with --debug to see where)"
        return _report(error, text, 1, debug)
    return 0


def _check_no_empty_word(words: Sequence[str]) -> None:
    """Refuse "", which is often an unset shell variable and would be the current folder as a path."""
    for before, word in zip(["", *words], words, strict=False):
        name, equals, value = word.partition("=")
        flag = name if word.startswith("--") and equals and not value else before if not word else ""
        if (not word or flag) and flag not in _MAY_BE_EMPTY:
            which = flag if flag.startswith("-") else "an argument"
            raise RequestError("{which} is an empty text: give a value, or leave it out", which=which)


def _report(error: BaseException, text: str, code: int, debug: bool) -> int:
    import traceback

    import typer

    if debug:
        traceback.print_exception(error)
    for message in error.messages if isinstance(error, FantasyPortraitError) else ():
        typer.echo(f"note: {message}", err=True)
    typer.secho(f"error: {text}", fg="red", err=True)
    return code
