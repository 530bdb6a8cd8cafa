"""The tree of errors. Each message names the input, the rule, the value and what to do."""

from fantasyportrait.core.sentences import Sentence


class FantasyPortraitError(Exception):
    """Base of every error that a user can fix: `RequestError("{name} is {value}", name=name, value=value)`.

    Attributes:
        exit_code: the exit code of the command line.
        messages: sentences about the inputs that were read before the error, shown with it.
    """

    exit_code = 1
    messages: tuple[str, ...] = ()

    def __init__(self, template: str = "", /, **values: object) -> None:
        """Say the template with its values, see `Sentence`; without values it is the sentence."""
        super().__init__(Sentence(template, **values) if values else template)

    @property
    def sentence(self) -> str:
        """The message: a `Sentence` where it has values, while `str` of the error is plain text."""
        message: str = self.args[0]
        return message


class RequestError(FantasyPortraitError):
    """An invalid request: a value out of range, options that exclude each other, a face that the portrait lacks."""

    exit_code = 2


class MediaError(FantasyPortraitError):
    """A photo, clip or sound cannot be read, or is too large to be read safely."""

    exit_code = 3


class FaceError(FantasyPortraitError):
    """No usable face in a photo or a driving clip."""

    exit_code = 4


class WeightsError(FantasyPortraitError):
    """A model file is missing, cannot be fetched, or is not the file the catalog names."""

    exit_code = 5


class DependencyError(FantasyPortraitError):
    """A required optional package is not installed."""

    exit_code = 6


class OutputError(FantasyPortraitError):
    """A result cannot be written: the disk is full or the folder is not writable."""

    exit_code = 7


class Cancelled(FantasyPortraitError):
    """The user stopped the run; 130 is the shell's exit code for Ctrl-C."""

    exit_code = 130


def first_line(error: BaseException) -> str:
    """The first line of a library's error, at most 200 characters; the error's type where it has no text."""
    return (str(error).splitlines() or [""])[0].strip()[:200] or type(error).__name__
