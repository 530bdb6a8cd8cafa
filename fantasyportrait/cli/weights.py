"""`fantasyportrait weights`: the model files of the CPU path."""

from pathlib import Path
from typing import Annotated

import typer

from fantasyportrait.core.errors import WeightsError

ModelsDir = Annotated[Path | None, typer.Option(help="The models folder, if not the usual one.")]


def list_weights(models_dir: ModelsDir = None) -> None:
    """Name every model file: what it is, its licence, where it comes from, and whether it is there."""
    from fantasyportrait.service.library import models_dir as usual_folder, verify_models

    typer.echo(f"folder: {models_dir or usual_folder()}")
    for row in verify_models(models_dir):
        model = row.model
        typer.echo(
            f"{model.name:<20} {model.size / 1e6:6.2f} MB  {row.state:<8} {model.licence:<11} {model.source_project}"
        )


def fetch_weights(
    names: Annotated[list[str] | None, typer.Argument(help="Names of `weights list`; all if none is given.")] = None,
    models_dir: ModelsDir = None,
) -> None:
    """Fetch the model files that are missing (13 MB in all), and check every one."""
    from fantasyportrait.service.library import fetch_models

    for path in fetch_models(names or None, models_dir, lambda sentence: typer.echo(sentence, err=True)):
        typer.echo(path)


def verify_weights(models_dir: ModelsDir = None) -> None:
    """Compare every model file with the sha256 of the catalog; exit code 5 if one is wrong or missing."""
    from fantasyportrait.service.library import verify_models

    states = verify_models(models_dir)
    for row in states:
        typer.echo(f"{row.state:<8} {row.path}")
    bad = [row.model.name for row in states if row.state != "ok"]
    if bad:
        raise WeightsError(f"not as the catalog says: {', '.join(bad)}: run  fantasyportrait weights fetch")
