"""One small tree of errors. A message says which input, which rule, and what to do."""


class FantasyPortraitError(Exception):
    """Base of every error that a user can fix.

    Attributes:
        exit_code: what the command line returns.
        notes: sentences about the inputs that were read before; they are shown with the error.
    """

    exit_code = 1
    notes: tuple[str, ...] = ()


class RequestError(FantasyPortraitError):
    """The request contradicts itself or its portrait: a cast, a flag, a number out of range."""

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
    """An optional package is needed and not installed."""

    exit_code = 6


class OutputError(FantasyPortraitError):
    """A result cannot be written: the disk is full or the place is not writable."""

    exit_code = 7


class Cancelled(FantasyPortraitError):
    """The user stopped the work; 130 is the shell's code for Ctrl-C."""

    exit_code = 130


def first_line(error: BaseException) -> str:
    """The first line of a library's error, at most 200 characters; the error's type where it has no text."""
    return (str(error).splitlines() or [""])[0].strip()[:200] or type(error).__name__
