"""Motion files: which files are some, and reading and writing them. See docs/motion-files.md."""

from contextlib import suppress
from fractions import Fraction
from pathlib import Path

from fantasyportrait.core.errors import MediaError, RequestError
from fantasyportrait.core.limits import PRIVATE, Limits
from fantasyportrait.faces.mesh import CanonicalFace
from fantasyportrait.images.input_checks import check_file, first_bytes
from fantasyportrait.images.input_file import open_file
from fantasyportrait.motion.arkit_csv import csv_rate, has_curves, read_arkit_csv, write_arkit_csv
from fantasyportrait.motion.motion_file import MotionFile
from fantasyportrait.motion.motion_json import FORMAT, read_motion_json, write_motion_json
from fantasyportrait.schema.face import Track

JSON_SUFFIX, CSV_SUFFIX = ".json", ".csv"


def is_motion_file(path: Path) -> bool:
    """Whether the file is text that begins like a motion file, or has the suffix of one: .json or .csv."""
    head = first_bytes(path)
    text = None if b"\0" in head else _text(head)
    if text is None or not text.strip():
        return False
    return path.suffix.lower() in (JSON_SUFFIX, CSV_SUFFIX) or _is_json(text) or has_curves(text.partition("\n")[0])


def read_motion_file(path: Path, limits: Limits = PRIVATE) -> MotionFile:
    """The motion in a JSON or CSV file. Raises MediaError for one that cannot be read or is over the limits."""
    check_file(path, "motion file")
    with open_file(path) as file:
        try:
            data = file.read(limits.motion_file_bytes + 1)
        except OSError as error:
            raise MediaError("cannot read {path}: {reason}", path=path, reason=error.strerror or error) from error
    if len(data) > limits.motion_file_bytes:
        raise MediaError(
            "{path} is over {motion_file_bytes} MiB, the limit of a motion file: export a part of it",
            path=path,
            motion_file_bytes=limits.motion_file_bytes >> 20,
        )
    read = read_motion_json if data.lstrip()[:1] == b"{" else read_arkit_csv
    return read(path, data, limits)


def written_rate(path: Path, rate: Fraction) -> Fraction:
    """The rate at which a motion is written to `path`: `rate`, or the whole one nearest to it for CSV."""
    check_motion_suffix(path)
    return csv_rate(rate) if path.suffix.lower() == CSV_SUFFIX else rate


def write_motion_file(path: Path, track: Track, rate: Fraction, canonical: CanonicalFace) -> None:
    """Write a track as JSON or CSV, by the suffix; whole or not at all. Raises OutputError."""
    check_motion_suffix(path)
    write = write_arkit_csv if path.suffix.lower() == CSV_SUFFIX else write_motion_json
    write(path, track, rate, canonical)


def check_motion_suffix(path: Path) -> None:
    """Raise RequestError unless the file ends in .json or .csv."""
    if path.suffix.lower() not in (JSON_SUFFIX, CSV_SUFFIX):
        raise RequestError(
            "the output {path} ends in {suffix!r}: end it in .motion.json for the motion, or in .csv for ARKit curves",
            path=path,
            suffix=path.suffix,
        )


def _text(head: bytes) -> str | None:
    """The text of a file's first bytes, the last character of which may be cut; None for other content."""
    for cut in range(4):
        with suppress(UnicodeDecodeError):
            return head[: len(head) - cut].decode("utf-8-sig")
    return None


def _is_json(text: str) -> bool:
    return text.lstrip().startswith("{") and f'"{FORMAT}"' in text
