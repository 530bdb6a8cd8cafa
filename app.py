"""Start the app: python app.py, then open http://127.0.0.1:7860. Also the entry of a Hugging Face Space."""

import os
import sys
from collections.abc import Sequence

from fantasyportrait.cli import main as command_line
from fantasyportrait.core.hosting import space_defaults


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what  fantasyportrait app  does with these flags, and end the program with its exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    os.environ.update(space_defaults())
    sys.exit(command_line.main(["app", *given], exiting=arguments is None))


if __name__ == "__main__":
    main()
