"""`fantasyportrait weights`: lists, fetches and verifies the model files."""

from pathlib import Path
from typing import Annotated

import typer

from fantasyportrait.core.errors import WeightsError

ModelsDir = Annotated[Path | None, typer.Option(help="Folder of the models, if not the default one.")]

FETCH_EPILOG = """\b
Without a name only the small models are fetched, enough for the preview engine.
A name of the diffusion engine fetches everything that it needs:
  wan-720p      the base model and the adapter
  gguf-q4       the base quantized to 4 bits, its encoders and the adapter
After an interruption, run the command again: finished files are kept. Where the hub
asks for a token, set HF_TOKEN; there is no flag for it.
"""


def list_weights(models_dir: ModelsDir = None) -> None:
    """List every model: its size, state, licence, source and purpose."""
    from fantasyportrait.weights.hub_manifest import hub_states
    from fantasyportrait.weights.store import models_dir as usual_folder, verify_models

    typer.echo(f"folder: {models_dir or usual_folder()}")
    for small in verify_models(models_dir):
        model = small.model
        typer.echo(f"{model.name:<20} {_size(model.size)}  {small.state:<8} {model.licence:<11} {model.source_project}")
    typer.echo("\nof the diffusion engine, each fetched by its name:")
    for state in hub_states(models_dir):
        row = state.source
        typer.echo(f"{row.name:<20} {_size(row.approx_bytes)}  {state.state:<8} {row.licence:<11} {row.repo}")
        typer.echo(f"{'':<41}{row.purpose}")


def fetch_weights(
    names: Annotated[
        list[str] | None, typer.Argument(help="Names of `weights list`. [default: the small ones]")
    ] = None,
    models_dir: ModelsDir = None,
) -> None:
    """Fetch the models that are missing (without names the small ones, 12 MB), and check every file."""
    from fantasyportrait.weights.hub_fetch import fetch_named

    for path in fetch_named(names or None, models_dir, lambda sentence: typer.echo(sentence, err=True)):
        typer.echo(path)


def verify_weights(models_dir: ModelsDir = None) -> None:
    """Compare every file with its sha256; exit code 5 if one is wrong, or a small model or part of a large one missing.

    Needs no network. Large models that were never fetched are no error.
    """
    from fantasyportrait.weights.hub_manifest import hub_states
    from fantasyportrait.weights.store import fetch_command, verify_models

    states = verify_models(models_dir)
    for row in states:
        typer.echo(f"{row.state:<8} {row.path}")
    bad = [row.model.name for row in states if row.state != "ok"]
    for state in hub_states(models_dir, read=True):
        if state.state != "missing":
            typer.echo(f"{state.state:<8} {state.folder}  ({state.source.name})")
            for path in state.faulty:
                typer.echo(f"{'':<8} {state.folder / path}")
        if state.state in ("wrong", "partial"):
            bad.append(state.source.name)
    if bad:
        raise WeightsError(
            "model files are missing or wrong: run  {command}", command=fetch_command(" ".join(bad), models_dir)
        )


def make_tiny(folder: Annotated[Path, typer.Argument(help="A new or empty folder.")]) -> None:
    """Write a tiny model of the diffusion engine, complete: to try its whole path on a CPU. Its videos are noise."""
    from fantasyportrait.testing.tiny_model import make_tiny as write_tiny

    write_tiny(folder)
    typer.echo(folder)


def _size(count: int) -> str:
    """Bytes in a column of nine."""
    return f"{count / 1e9:6.2f} GB" if count >= 1e8 else f"{count / 1e6:6.2f} MB"
