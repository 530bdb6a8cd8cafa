"""`fantasyportrait app`: starts the web app."""

from pathlib import Path
from typing import Annotated

import typer

from fantasyportrait.cli.option_flags import Given
from fantasyportrait.cli.sampling_flags import runtime_config
from fantasyportrait.core.optional import require


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
    results: Annotated[Path, typer.Option(help="Folder of the results, kept for six hours.")] = Path("results"),
    models_dir: Annotated[Path | None, typer.Option(help="Folder of the model files.")] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME_OR_DIR",
            help="Offer the diffusion engine too, with this model: a name of `fantasyportrait weights list`, or a "
            "folder, written with a / in it. [default: the preview only]",
        ),
    ] = None,
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
) -> None:
    """Open the app: upload a photo, give each face a clip, watch the result. Ctrl-C ends it."""
    require("gradio", extra="app", purpose="the app")
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
        )
    )
