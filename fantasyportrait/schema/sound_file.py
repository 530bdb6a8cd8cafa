"""A sound file of a request, with the start of the used part."""

from dataclasses import dataclass
from pathlib import Path

from fantasyportrait.core.errors import RequestError
from fantasyportrait.schema.checks import check_number
from fantasyportrait.schema.converters import as_path

KIND = "file:"
MAX_START_S = 24 * 3600.0


@dataclass(frozen=True)
class SoundFile:
    """The sound of the file `path` (a video's too) from `start_s` seconds on."""

    path: Path
    start_s: float = 0.0

    def __post_init__(self) -> None:
        as_path(self.path, "the path of a sound")
        check_number(f"start of {self.path.name}", self.start_s, 0, MAX_START_S)

    def __str__(self) -> str:
        start = f"#start={self.start_s:g}" if float(f"{self.start_s:g}") == self.start_s else f"#start={self.start_s!r}"
        return f"{KIND}{self.path.as_posix()}{start if self.start_s else ''}"


def parse_sound_file(text: str) -> SoundFile:
    """Read `file:PATH[#start=SECONDS]`; a `#` without `start=` after it belongs to the name. Raises `RequestError`."""
    rest = text.removeprefix(KIND)
    name, mark, option = rest.rpartition("#")
    key, equals, value = option.partition("=")
    if not mark or not equals or key != "start":
        return SoundFile(Path(rest))
    try:
        start_s = float(value)
    except ValueError as error:
        raise RequestError(
            "start in the sound {text!r} is {value!r}: give a number of seconds", text=text, value=value
        ) from error
    return SoundFile(Path(name), start_s)
