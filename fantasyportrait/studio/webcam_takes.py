"""Recordings of a browser's webcam become clips: with a duration, with an index for seeking, and with a name."""

import re
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from fantasyportrait.core.atomic_write import atomic_write, output_errors
from fantasyportrait.core.errors import MediaError
from fantasyportrait.media.decoder import Decoder

_TAKE = re.compile(r"webcam take ([0-9]{1,6})")


def take_name(names: Iterable[str]) -> str:
    """The name of the next recording, "webcam take 1" for the first; `names` are those of the visitor's clips."""
    numbers = [int(match.group(1)) for name in names if (match := _TAKE.fullmatch(name))]
    return f"webcam take {max(numbers, default=0) + 1}"


def save_take(decoder: Decoder, recording: Path, target: Path) -> Path:
    """Remux a recording to `target`, a path without a suffix; returns the path with that of its container.

    Nothing is encoded again; sound and the times of frames stay. The file is whole or not there. Raises `MediaError`
    for a recording that cannot be read, `OutputError` where the file cannot be written.
    """
    with closing(decoder.remux(recording)) as pieces:
        kind, piece = next(pieces, (None, b""))
        if kind is None:
            raise MediaError("{recording} is empty: record it again", recording=recording)
        saved = target.with_name(f"{target.name}.{kind}")
        with output_errors(saved), atomic_write(saved) as made, made.open("xb") as file:
            file.write(piece)
            for _, piece in pieces:
                file.write(piece)
    return saved
