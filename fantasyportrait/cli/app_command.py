"""`fantasyportrait app`: the app in the browser."""

from pathlib import Path
from typing import Annotated

import typer

from fantasyportrait.core.optional import require


def app_command(
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 lets other machines in.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 7860,
    results: Annotated[Path, typer.Option(help="Folder where results are kept for a while.")] = Path("results"),
    models_dir: Annotated[Path | None, typer.Option(help="Folder of the model files.")] = None,
) -> None:
    """Open the app: upload a photo, give each face a clip, watch the result. Ctrl-C ends it."""
    require("gradio", extra="app", purpose="the app")
    ui = require("ui.app", extra="app", purpose="the app")
    ui.launch(host=host, port=port, results=results, models_dir=models_dir)
