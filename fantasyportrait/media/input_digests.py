"""The input files of a request: check that they can be read, record their sha256, report files that changed."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from fantasyportrait.core.digests import HashedFile
from fantasyportrait.core.errors import MediaError
from fantasyportrait.core.files import open_regular
from fantasyportrait.core.sentences import Sentence
from fantasyportrait.images.input_checks import check_file
from fantasyportrait.schema.cast import ClipSource
from fantasyportrait.schema.portrait import portrait_name
from fantasyportrait.schema.request import AnimationRequest


def check_input_file(path: Path, what: str) -> None:
    """Raise `MediaError` where `path`, given as `what` ("photo", "clip", "sound"), is not a readable file.

    A missing file, a URL, a folder, a saved request, a named pipe and a device are refused.
    """
    check_file(path, what)
    try:
        open_regular(path).close()
    except FileNotFoundError as error:
        # The path may contain options that could not be parsed.
        hint = "" if "#" not in path.name else " (if options follow the #, see  fantasyportrait animate --help)"
        raise MediaError("there is no file {path}: check the path{hint}", path=path, hint=hint) from error
    except OSError as error:
        raise MediaError(
            "{path} cannot be read ({reason}): give a file", path=path, reason=error.strerror or error
        ) from error


def add_input_digests(
    request: AnimationRequest, portrait_sha256: str, clips: Mapping[Path, HashedFile]
) -> tuple[AnimationRequest, list[str]]:
    """The request with the digests of its portrait and clips, and a message for each file that has changed."""
    messages = []

    def compare(path: object, before: str | None, now: str) -> str:
        if before not in (None, now):
            messages.append(
                Sentence("{path} has changed since this request was made, so the result will differ", path=path)
            )
        return now

    cast = []
    for role in request.cast:
        source = role.source
        if isinstance(source, ClipSource):
            digest = compare(source.path, source.sha256, clips[source.path].sha256)
            role = replace(role, source=replace(source, sha256=digest))
        cast.append(role)
    portrait = compare(portrait_name(request.portrait), request.portrait_sha256, portrait_sha256)
    return replace(request, cast=tuple(cast), portrait_sha256=portrait), list(dict.fromkeys(messages))
