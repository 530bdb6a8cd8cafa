"""Start the app: python app.py, then open http://127.0.0.1:7860. Also the entry of a Hugging Face Space."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from fantasyportrait.core.errors import FantasyPortraitError
from ui.app import launch


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the flags and serve the app until Ctrl-C."""
    parser = argparse.ArgumentParser(description="Open FantasyPortrait in the browser.")
    parser.add_argument("--host", help="address to listen on; 0.0.0.0 lets other machines in (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to listen on (default: 7860)")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder where results are kept a while")
    parser.add_argument("--models-dir", type=Path, help="where the model files lie or shall be put")
    given = parser.parse_args(arguments)
    try:
        launch(given.host, given.port, given.results, given.models_dir)
    except FantasyPortraitError as error:
        parser.exit(error.exit_code, f"error: {error}\n")


if __name__ == "__main__":
    main()
