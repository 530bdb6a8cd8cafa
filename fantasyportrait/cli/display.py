"""Progress and results on the terminal: progress bars on a terminal, plain lines in a pipe or file."""

import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from fantasyportrait.core.errors import Cancelled
from fantasyportrait.core.limits import PRIVATE

if TYPE_CHECKING:
    from fantasyportrait.runtime.process_group import ProcessGroup
    from fantasyportrait.runtime.runtime_config import RuntimeConfig
    from fantasyportrait.schema.events import Event, Result, StageName, Step
    from fantasyportrait.schema.request import AnimationRequest

TITLES: "dict[StageName, str]" = {
    "portrait": "photo",
    "driving": "driving clips",
    "model": "loading model",
    "motion": "driving motion",
    "sample": "sampling",
    "render": "rendering",
    "finish": "finishing",
}


def animate_with_progress(
    request: "AnimationRequest",
    output: Path,
    models_dir: Path | None,
    runtime_config: "RuntimeConfig | None" = None,
    process_group: "ProcessGroup | None" = None,
    sandbox: bool = False,
) -> "Result":
    """Run the request, show its progress on stderr, and return its result. Raises `FantasyPortraitError`.

    With `sandbox` the inputs are decoded in child processes.
    """
    from fantasyportrait.sandbox.decoder_factory import make_decoder
    from fantasyportrait.schema import events
    from fantasyportrait.service.animator import Animator

    try:
        animator = Animator(
            models_dir,
            runtime_config=runtime_config,
            process_group=process_group,
            decoder=make_decoder(PRIVATE, sandbox),
        )
        model = False
        with _display() as show, closing(animator.events(request, output)) as event_stream:
            for event in event_stream:
                model = model or (isinstance(event, events.Stage) and event.name == "model")
                if isinstance(event, events.Done):
                    return event.result
                if isinstance(event, events.Failed):
                    raise event.error
                # Kept messages are printed with the result; the model may run for hours, so its messages are shown now.
                if model or not (isinstance(event, events.Message) and event.keep):
                    show(event)
    except KeyboardInterrupt:
        raise Cancelled("stopped: nothing was written") from None
    raise Cancelled("stopped: nothing was written")


def print_result(result: "Result") -> None:
    """Print the result's messages and files, a line each, on stdout."""
    for message in result.messages:
        typer.echo(f"note: {message}")
    typer.echo(f"video: {result.video}")
    if result.side_by_side:
        typer.echo(f"side by side: {result.side_by_side}")
    typer.echo(f"request: {result.request}")


@contextmanager
def show_tracking() -> Iterator[Callable[[int, int], None]]:
    """Show on stderr how much of a clip is tracked; gives a function of (rows done, rows expected)."""
    from fantasyportrait.schema.events import Stage, Step

    with _display() as show:
        show(Stage("driving"))
        yield lambda done, total: show(Step("driving", done, total, None))


def _display() -> "_Display":
    return _bars() if sys.stderr.isatty() else _lines()


@contextmanager
def _lines() -> Iterator[Callable[["Event"], None]]:
    """Print a line on stderr for each stage, message and sampler step, which may take a minute."""
    from fantasyportrait.schema.events import Message, Stage, Step

    def show(event: "Event") -> None:
        if isinstance(event, Stage):
            typer.echo(f"{TITLES[event.name]} ...", err=True)
        elif isinstance(event, Message):
            typer.echo(event.text, err=True)
        elif isinstance(event, Step) and event.stage == "sample":
            left = f", {_time_left(event)}" if event.remaining_s is not None and event.done < event.total else ""
            typer.echo(f"{TITLES[event.stage]}: step {event.done} of {event.total}{left}", err=True)

    yield show


@contextmanager
def _bars() -> Iterator[Callable[["Event"], None]]:
    """Show a progress bar on stderr for each stage, with the remaining time, and print messages above."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

    from fantasyportrait.schema.events import Message, Stage, Step

    columns = (
        TextColumn("{task.description:<14}"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bars: dict[str, TaskID] = {}

        def show(event: "Event") -> None:
            if isinstance(event, Stage):
                for done in bars.values():
                    progress.update(done, total=1, completed=1, left="")
                bars[event.name] = progress.add_task(TITLES[event.name], total=None, left="")
            elif isinstance(event, Message):
                progress.console.print(event.text, markup=False, highlight=False)
            elif isinstance(event, Step):
                progress.update(bars[event.stage], total=event.total, completed=event.done, left=_time_left(event))

        yield show


def _time_left(step: "Step") -> str:
    return "" if step.remaining_s is None else f"{step.remaining_s:.0f} s left"


if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    _Display = AbstractContextManager[Callable[[Event], None]]
