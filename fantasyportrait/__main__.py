"""`python -m fantasyportrait` is the command line."""

import sys

from fantasyportrait.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
