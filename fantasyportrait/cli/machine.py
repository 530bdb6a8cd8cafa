"""`fantasyportrait machine`: does the diffusion engine run here, and how long does it take?"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fantasyportrait.cli.option_flags import Flags, Given, flag
from fantasyportrait.cli.sampling_flags import MARK, runtime_config, sampling_overrides, worker_flags
from fantasyportrait.core.errors import RequestError

if TYPE_CHECKING:
    from fantasyportrait.service.machine_report import MachineReport

EPILOG = """\b
Memory and seconds are predicted from the model's own shapes and a few seconds
of measuring; times of videos that were made here correct them.

\b
Examples:
  fantasyportrait machine
  fantasyportrait machine --size 1280x720 --faces 3 --preset draft
"""


def machine_flags() -> Flags:
    """Those that decide what a job costs: the model, the preset and the machine."""
    from fantasyportrait.schema.options import get_option
    from fantasyportrait.schema.presets import PRESET
    from fantasyportrait.schema.sampling import Sampling

    return [flag(get_option(Sampling, "model"), MARK), flag(PRESET, MARK), *worker_flags()]


def machine(
    given: Given,
    size: Annotated[str, typer.Option(metavar="WIDTHxHEIGHT", help="Of the video, multiples of 16.")] = "832x480",
    frames: Annotated[int, typer.Option(min=1, help="Of the video.")] = 81,
    faces: Annotated[int, typer.Option(min=0, max=16, help="That are driven.")] = 1,
    models_dir: Annotated[Path | None, typer.Option(help="Where the model files lie.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say which profiles fit this machine, with the memory and time that a video would take."""
    from fantasyportrait.schema.sampling import Sampling
    from fantasyportrait.service.machine_report import machine_report

    sampling = Sampling(**sampling_overrides(given))
    report = machine_report(sampling, _size(size), frames, faces, runtime_config(given), models_dir)
    if as_json:
        typer.echo(json.dumps(asdict(report), indent=2))
    else:
        for line in _lines(report):
            typer.echo(line)


def _lines(report: "MachineReport") -> list[str]:
    """The report as a table, the chosen profile marked."""
    lines = [report.machine, "", f"  {'profile':<14}{'on device':>12}{'memory':>12}{'a step':>11}{'a video':>11}"]
    for row in report.rows:
        mark = "*" if row["profile"] == report.chosen else " "
        figures = f"{row['vram_gib']:>8} GiB{row['ram_gib']:>8} GiB"
        if row["fits"]:
            figures += f"{_time(row['step_s']):>11}{_time(row['total_s']):>11}"
        else:
            figures += f"  {row['reason']}"
        lines.append(f"{mark} {row['profile']:<14}{figures}")
    return [*lines, "", report.verdict, *(f"note: {message}" for message in report.messages)]


def _time(seconds: Any) -> str:
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def _size(text: str) -> tuple[int, int]:
    width, cross, height = text.lower().partition("x")
    if not (cross and width.isdecimal() and height.isdecimal()):
        raise RequestError(f"--size is {text!r}: give WIDTHxHEIGHT, for example 832x480")
    return int(width), int(height)
