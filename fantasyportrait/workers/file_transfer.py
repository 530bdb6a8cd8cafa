"""Input files sent to a worker in pieces, and the output files that it made, fetched in pieces."""

import re
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import MediaError

# Small enough to cross a slow uplink long before the call times out, and to stop soon after a cancel.
CHUNK_BYTES = 1 << 20
_SUFFIX = re.compile(r"\.[a-z0-9]{1,8}")
_FILE = re.compile(r"[a-z0-9_][a-z0-9._-]*", re.ASCII | re.IGNORECASE)


def input_name(path: Path) -> str:
    """A random name for an input file on the worker, with the file's suffix if that has at most 8 letters or digits."""
    suffix = path.suffix.lower()
    return uuid.uuid4().hex + (suffix if _SUFFIX.fullmatch(suffix) else "")


def chunks(path: Path) -> Iterator[bytes]:
    """The file's bytes in pieces, one empty piece for an empty file. Raises `MediaError`."""
    try:
        with path.open("rb") as file:
            yield file.read(CHUNK_BYTES)
            while data := file.read(CHUNK_BYTES):
                yield data
    except OSError as error:
        raise MediaError(
            "{path} cannot be read ({reason}): check the path", path=path, reason=error.strerror or error
        ) from error


def fetch(
    folder: Path,
    names: Sequence[str],
    outputs: Mapping[str, Path],
    read: Callable[[str, int], bytes],
    cancel: CancelToken,
) -> None:
    """Read the output files `names` with `read(name, offset)` into `folder`, as `Job.receive` expects them there.

    Raises `Cancelled`, OSError, ValueError for a name that is not one of `outputs`, and the errors of `read`.
    """
    for name in names:
        if not is_output(name, outputs):
            raise ValueError(f"the worker offers a file {name!r} that is not one of {', '.join(outputs)}")
        first, _, rest = name.partition("/")
        target = folder / outputs[first].name / rest
        target.parent.mkdir(exist_ok=True)
        with target.open("wb") as file:
            for data in _read_remote(name, read):
                cancel.check()
                file.write(data)


def is_output(name: str, outputs: Collection[str]) -> bool:
    """Whether `name` is one of `outputs`, or a file in a folder of that name; such a name leads to no other folder."""
    first, slash, rest = name.partition("/")
    return first in outputs and all(map(_FILE.fullmatch, (first, rest) if slash else (first,)))


def _read_remote(name: str, read: Callable[[str, int], bytes]) -> Iterator[bytes]:
    offset = 0
    while data := read(name, offset):
        yield data
        offset += len(data)
        if len(data) < CHUNK_BYTES:
            return
