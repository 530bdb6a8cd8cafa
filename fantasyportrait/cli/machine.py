"""`fantasyportrait machine`: the profiles that fit this machine, with predicted memory and time."""

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
Memory and time are predicted from the shapes of the model and a short benchmark
of this machine; the measured times of earlier videos correct them.

\b
Examples:
  fantasyportrait machine
  fantasyportrait machine --size 1280x720 --faces 3 --preset draft
"""


def machine_flags() -> Flags:
    """The flags that decide the cost of a job: the model, the preset and the runtime config."""
    from fantasyportrait.schema.options import get_option
    from fantasyportrait.schema.presets import PRESET
    from fantasyportrait.schema.sampling import Sampling

    return [flag(get_option(Sampling, "model"), MARK), flag(PRESET, MARK), *worker_flags()]


def machine(
    given: Given,
    size: Annotated[str, typer.Option(metavar="WIDTHxHEIGHT", help="Size of the video, multiples of 16.")] = "832x480",
    frames: Annotated[int, typer.Option(min=1, help="Frames of the video.")] = 81,
    faces: Annotated[int, typer.Option(min=0, max=16, help="Number of driven faces.")] = 1,
    models_dir: Annotated[Path | None, typer.Option(help="Folder of the model files.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the profiles that fit this machine, with the predicted memory and time of a video."""
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
        raise RequestError("--size is {text!r}: give WIDTHxHEIGHT, for example 832x480", text=text)
    return int(width), int(height)
