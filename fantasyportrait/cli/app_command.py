"""`fantasyportrait app`: starts the web app."""

from pathlib import Path
from typing import Annotated

import typer

from fantasyportrait.cli.option_flags import Given
from fantasyportrait.cli.sampling_flags import runtime_config
from fantasyportrait.core.errors import RequestError
from fantasyportrait.core.hosting import on_space, on_zero_gpu
from fantasyportrait.core.optional import check_installed, require


def app_command(
    given: Given,
    host: Annotated[
        str | None,
        typer.Option(
            help="Address to listen on; 0.0.0.0 lets other machines in. [default: $GRADIO_SERVER_NAME, or 127.0.0.1]"
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Port to listen on. [default: $GRADIO_SERVER_PORT, or 7860]"),
    ] = None,
    results: Annotated[
        Path, typer.Option(envvar="FANTASYPORTRAIT_RESULTS", help="Folder of the results, kept for six hours.")
    ] = Path("results"),
    models_dir: Annotated[Path | None, typer.Option(help="Folder of the model files.")] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME_OR_DIR",
            envvar="FANTASYPORTRAIT_MODEL",
            help="Offer the diffusion engine too, with this model: a name of `fantasyportrait weights list`, or a "
            "folder, written with a / in it. [default: the preview only]",
        ),
    ] = None,
    fetch: Annotated[
        bool,
        typer.Option(
            "--fetch",
            envvar="FANTASYPORTRAIT_FETCH",
            help="First fetch the missing files of --model, and the LoRA of the preset draft.",
        ),
    ] = False,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Run the jobs on a Ray cluster, see `fantasyportrait workers`. [default: in this process]",
        ),
    ] = None,
    public: Annotated[
        bool | None,
        typer.Option(
            "--public/--private",
            help="Strict limits on uploads, for visitors, or looser ones, for your own files. "
            "[default: public on a Hugging Face Space, else private]",
        ),
    ] = None,
    mcp: Annotated[
        bool,
        typer.Option(
            "--mcp",
            help="Offer the API to MCP clients too, such as assistants, at /gradio_api/mcp: see docs/api.md.",
        ),
    ] = False,
) -> None:
    """Open the app: upload a photo, give each face a clip, watch the result. Ctrl-C ends it."""
    require("gradio", extra="app", purpose="the app")
    if model is not None and ray is None:
        check_installed("diffusers", extra="wan", purpose=f"the model {model}")
    if mcp:
        check_installed("mcp", extra="mcp", purpose="--mcp")
    if fetch:
        _fetch(model, models_dir)
    typer.echo(_engines(model, ray), err=True)
    ui = require("ui.app", extra="app", purpose="the app")
    ui.launch(
        ui.Settings(
            host=host,
            port=port,
            results=results,
            models_dir=models_dir,
            model=model,
            ray=ray,
            runtime_config=runtime_config(given),
            public=public,
            mcp=mcp,
        )
    )


def _fetch(model: str | None, models_dir: Path | None) -> None:
    """Fetch what is missing of a model of the catalog, and the LoRA; each download is reported."""
    from fantasyportrait.weights.hub_catalog import hub_model_names
    from fantasyportrait.weights.hub_fetch import fetch_named

    if model not in hub_model_names("base", "gguf"):
        raise RequestError(
            "--fetch with the model {model}: name a model of the catalog with --model, or leave it out", model=model
        )
    fetch_named([model, "lightx2v"], models_dir, lambda sentence: typer.echo(sentence, err=True))


def _engines(model: str | None, ray: str | None) -> str:
    """Which engines the app offers on this machine, for the log."""
    where = "ZeroGPU" if on_zero_gpu() else "a Ray cluster" if ray else "this machine"
    if model is not None:
        return f"engines: preview on the CPU, wan with the model {model} on {where}"
    how = "the variable FANTASYPORTRAIT_MODEL of the Space" if on_space() else "--model"
    return f"engines: preview on the CPU; wan is off, since no model is named: {how} names one"
