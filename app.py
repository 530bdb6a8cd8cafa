"""Start the app: python app.py, then open http://127.0.0.1:7860. Also the entry of a Hugging Face Space."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from fantasyportrait.core.errors import FantasyPortraitError
from ui.app import launch
from ui.settings import Settings

MODEL_HELP = (
    "offer the diffusion engine too, with this model: a name of `fantasyportrait weights list`, or a folder, written "
    "with a / in it (default: the preview only)"
)
OFFLOAD_HELP = "what stays on the device, from everything to one layer at a time (default: auto)"


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the flags and serve the app until Ctrl-C."""
    parser = argparse.ArgumentParser(description="Open FantasyPortrait in the browser.")
    parser.add_argument("--host", help="address to listen on; 0.0.0.0 lets other machines in (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to listen on (default: 7860)")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder where results are kept a while")
    parser.add_argument("--models-dir", type=Path, help="where the model files lie or shall be put")
    parser.add_argument("--model", metavar="NAME_OR_DIR", help=MODEL_HELP)
    parser.add_argument("--device", default="auto", help="torch device of the diffusion engine (default: auto)")
    parser.add_argument("--offload", default="auto", help="auto, none, model, stream or sequential: " + OFFLOAD_HELP)
    parser.add_argument("--precision", default="auto", help="auto, bfloat16, float16 or float32 (default: auto)")
    given = parser.parse_args(arguments)
    try:
        launch(Settings(**vars(given)))
    except FantasyPortraitError as error:
        parser.exit(error.exit_code, f"error: {error}\n")


if __name__ == "__main__":
    main()
