"""The app's folder for temporary files: uploads, and gradio's files of the values that it shows."""

import getpass
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fantasyportrait.core.errors import OutputError
from fantasyportrait.core.locked_folder import locked_folder

VARIABLE = "GRADIO_TEMP_DIR"
"""Where gradio keeps uploads; it reads the variable when an app is built."""
PREFIX = "app-"


@contextmanager
def upload_folder() -> Iterator[Path]:
    """A folder for the uploads of one running app, removed at its end; gradio uses it meanwhile.

    It is in a folder of this user alone, in $GRADIO_TEMP_DIR or the system's temporary folder. What the apps of dead
    processes left there is removed; the folder of an app that runs stays. Raises `OutputError` where it cannot be made.
    """
    given = os.environ.get(VARIABLE)
    base = Path(given or tempfile.gettempdir()).resolve()
    try:
        with locked_folder(_own_folder(base), PREFIX) as folder:
            os.environ[VARIABLE] = str(folder)
            try:
                yield folder
            finally:
                if given is None:
                    del os.environ[VARIABLE]
                else:
                    os.environ[VARIABLE] = given
    except OSError as error:
        raise OutputError(
            "uploads cannot be kept in {folder} ({reason}): name another folder in ${variable}",
            folder=base,
            reason=error.strerror or error,
            variable=VARIABLE,
        ) from error


def _own_folder(base: Path) -> Path:
    """The user's folder in `base`, which others may write to: never one that another user made there."""
    base.mkdir(parents=True, exist_ok=True)
    own = base / f"fantasyportrait-{os.getuid() if hasattr(os, 'getuid') else getpass.getuser()}"
    own.mkdir(mode=0o700, exist_ok=True)
    found = own.lstat()
    foreign = hasattr(os, "getuid") and (found.st_uid != os.getuid() or found.st_mode & 0o077)
    if not stat.S_ISDIR(found.st_mode) or foreign:
        raise OutputError(
            "{folder} is not a folder of this user alone: remove it, or name another folder in ${variable}",
            folder=own,
            variable=VARIABLE,
        )
    return own
