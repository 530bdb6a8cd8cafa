"""The photo and the clips of a call of the API: uploads, or data URLs. An address is never fetched."""

import base64
import binascii
import mimetypes
import re
from pathlib import Path

from fantasyportrait.core.atomic_write import atomic_write, output_errors
from fantasyportrait.core.errors import RequestError
from fantasyportrait.studio.photo_actions import display_name
from fantasyportrait.studio.session_store import FILES, Session, keep_upload, new_id
from fantasyportrait.studio.uploads import UploadRegistry

_DATA_URL = re.compile(r"data:((?:image|video)/[a-z0-9.+-]{1,40})(?:;[a-z0-9=.+-]{1,80})*;base64,", re.IGNORECASE)
# Python 3.10 does not know it.
_SUFFIXES = {"image/webp": ".webp", "image/avif": ".avif"}


def keep_file(session: Session, uploads: UploadRegistry, given: object, what: str) -> tuple[str, str]:
    """Keep a file of a call in the session's folder; returns its path there, and its name for display.

    `given` is an upload, as gradio describes one ({"path": ..., "orig_name": ...}), or a data URL in base64. `what`
    names it in errors. Raises `RequestError` for everything else, and for an upload of another caller.
    """
    if isinstance(given, str):
        return _keep_data(session, given, what)
    if not isinstance(given, dict):
        raise RequestError("the {what} is {name}: give an upload or a data URL", what=what, name=type(given).__name__)
    if str(given.get("path")).startswith(("http://", "https://", "file:")):
        raise RequestError("the {what} is an address, and addresses are never fetched: upload the file", what=what)
    upload = uploads.authorize(session.id, given)
    name = given.get("orig_name")
    return keep_upload(session, upload, new_id()), display_name(name if isinstance(name, str) else "", what)


def _keep_data(session: Session, text: str, what: str) -> tuple[str, str]:
    found = _DATA_URL.match(text)
    if found is None:
        raise RequestError(
            "the {what} is a text that is no data URL of a picture or video: upload the file, or give "
            "data:video/mp4;base64,... (addresses are never fetched)",
            what=what,
        )
    try:
        data = base64.b64decode(text[found.end() :], validate=True)
    except (binascii.Error, ValueError) as error:
        raise RequestError(
            "the data URL of the {what} is not valid base64 ({error}): encode the file again", what=what, error=error
        ) from error
    kind = found[1].lower()
    suffix = _SUFFIXES.get(kind) or mimetypes.guess_extension(kind) or ""
    name = f"{FILES}/{new_id()}{suffix}"
    path = session.path(name)
    with output_errors(path), atomic_write(path) as made:
        made.write_bytes(data)
    return name, f"{what}{Path(name).suffix}"
