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
RAY_HELP = "work on the workers of this Ray cluster, see `fantasyportrait workers` (default: work here)"
PROFILE_HELP = "how the diffusion engine fits the card, see `fantasyportrait machine` (default: auto)"


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the flags and serve the app until Ctrl-C."""
    parser = argparse.ArgumentParser(description="Open FantasyPortrait in the browser.")
    parser.add_argument("--host", help="address to listen on; 0.0.0.0 lets other machines in (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to listen on (default: 7860)")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder where results are kept a while")
    parser.add_argument("--models-dir", type=Path, help="where the model files lie or shall be put")
    parser.add_argument("--model", metavar="NAME_OR_DIR", help=MODEL_HELP)
    parser.add_argument("--ray", metavar="ADDRESS", help=RAY_HELP)
    parser.add_argument("--device", default="auto", help="torch device of the diffusion engine (default: auto)")
    parser.add_argument("--profile", default="auto", help=PROFILE_HELP)
    parser.add_argument("--precision", default="auto", help="auto, bfloat16, float16 or float32 (default: auto)")
    parser.add_argument("--attention", default="native", help="native, auto, flash, flash3, sage or flex")
    parser.add_argument("--compile", action="store_true", help="compile the transformer: the first step takes minutes")
    parser.add_argument("--vram-gib", type=float, help="memory of the card to reckon with (default: what is free)")
    parser.add_argument("--ram-gib", type=float, help="memory of this machine to reckon with (default: what is free)")
    given = parser.parse_args(arguments)
    try:
        launch(Settings(**vars(given)))
    except FantasyPortraitError as error:
        parser.exit(error.exit_code, f"error: {error}\n")


if __name__ == "__main__":
    main()
