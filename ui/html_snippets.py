"""Pictures and sentences as small pieces of HTML; every text is escaped here."""

import base64
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fantasyportrait.core.errors import FantasyPortraitError
from fantasyportrait.faces.annotate import face_colour
from ui import strings

Pixels = NDArray[np.uint8]

THUMBNAIL_SIDE = 112
MARGIN = 0.25


def data_url(pixels: Pixels, longest: int, quality: int = 80) -> str:
    """A picture uint8 (H, W, 3) RGB as a JPEG inside a URL, its longest side at most `longest` pixels."""
    image = Image.fromarray(pixels)
    image.thumbnail((longest, longest))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def thumbnail(pixels: Pixels, box: NDArray[np.float32]) -> str:
    """The square around a face's xyxy box as a picture inside a URL."""
    height, width = pixels.shape[:2]
    centre_x, centre_y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    side = min(float(max(box[2] - box[0], box[3] - box[1])) * (1 + 2 * MARGIN), width, height)
    left = round(float(np.clip(centre_x - side / 2, 0, width - side)))
    top = round(float(np.clip(centre_y - side / 2, 0, height - side)))
    crop = pixels[top : top + round(side), left : left + round(side)]
    return data_url(np.ascontiguousarray(crop), THUMBNAIL_SIDE)


def css_colour(face: int) -> str:
    """The colour of a face as CSS."""
    return "#{:02x}{:02x}{:02x}".format(*face_colour(face))


def card_head(face: int, picture: str) -> str:
    """The head of a face's card: its picture and number."""
    return f'<div class="card-head"><img src="{picture}" alt=""><span class="badge">{face}</span> Face {face}</div>'


def error_html(text: str) -> str:
    """An error, which screen readers announce."""
    return f'<p class="error-message" role="alert">{escape(_sentence(text))}</p>'


def error_with_messages(error: FantasyPortraitError, private_paths: Sequence[Path]) -> str:
    """An error with its messages, with names of files in place of their paths on the server."""
    messages = [strings.hide_paths(message, private_paths) for message in error.messages]
    return error_html(strings.hide_paths(error, private_paths)) + message_list(messages)


def message_html(text: str) -> str:
    """A line of plain information."""
    return f'<p class="info-message" role="status">{escape(_sentence(text))}</p>'


def message_list(messages: Sequence[str]) -> str:
    """A list of the messages, a line each; nothing for no messages."""
    items = "".join(f"<li>{escape(_sentence(message))}</li>" for message in messages)
    return f'<ul class="message-list">{items}</ul>' if items else ""


def picture(url: str, alt: str) -> str:
    """An image element over the whole width."""
    return f'<img class="preview-image" src="{url}" alt="{escape(alt)}">'


def progress_bar(text: str, percent: float, preview_url: str | None = None) -> str:
    """A bar with a line above it and, below, a preview image of the result."""
    below = "" if preview_url is None else picture(preview_url, "the result so far")
    return (
        f'<div class="progress"><p role="status">{escape(text)}</p>'
        f'<progress max="100" value="{percent:.0f}" aria-label="progress"></progress>{below}</div>'
    )


def _sentence(text: str) -> str:
    """The message with a capital letter and a full stop; a file name at its beginning stays as it is."""
    whole = text.strip()
    if whole.split(" ", 1)[0].isalpha():
        whole = whole[:1].upper() + whole[1:]
    return whole if whole.endswith((".", "!", "?")) else whole + "."
