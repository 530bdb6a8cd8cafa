"""Small pieces of HTML."""

import base64
import io
import pickle
from pathlib import Path

import numpy as np
from PIL import Image

from fantasyportrait.core.errors import FaceError
from fantasyportrait.schema.events import Step
from ui import html_snippets, strings


def test_html_escapes_visitor_text() -> None:
    evil = '<img src=x onerror="alert(1)">.mp4'
    for html in (html_snippets.error_html(evil), html_snippets.message_html(evil), html_snippets.message_list([evil])):
        assert "<img" not in html and "&lt;img" in html
    assert "<b>" not in html_snippets.progress_bar("<b>", 3)


def test_messages_are_capitalized_except_file_names() -> None:
    assert "No face was found.<" in html_snippets.message_html("no face was found")
    assert "a.mp4 shows one person.<" in html_snippets.message_html("a.mp4 shows one person")


def test_refusal_shows_messages_without_server_paths() -> None:
    error = FaceError("/srv/uploads/1/photo.png: no face was found")
    error.messages = ("/srv/uploads/1/photo.png was read at 4032 x 3024", "<b>")
    shown = html_snippets.error_with_messages(pickle.loads(pickle.dumps(error)), [Path("/srv/uploads/1/photo.png")])
    assert "photo.png: no face was found." in shown and "<li>photo.png was read at 4032 x 3024.</li>" in shown
    assert "/srv" not in shown and "<b>" not in shown
    assert "<ul" not in html_snippets.error_with_messages(FaceError("no face was found"), [])


def test_thumbnail_is_square_and_inside_photo() -> None:
    photo = np.zeros((100, 300, 3), np.uint8)
    photo[:, 280:] = 255
    url = html_snippets.thumbnail(photo, np.array([270, 60, 310, 110], np.float32))
    image = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))
    assert image.width == image.height > 50
    assert image.getpixel((image.width - 2, 5))[0] > 200  # type: ignore[index]


def test_progress_shows_stage_fraction_and_time_left() -> None:
    assert strings.step_text(Step("render", 25, 100, None)) == "Rendering: 25 %"
    assert strings.step_text(Step("render", 25, 100, 12.4)) == "Rendering: 25 %, about 12 s left"
    assert strings.step_text(Step("sample", 12, 30, 61.0)) == "Sampling: step 12 of 30, about 61 s left"
    assert strings.time_left(200) == "about 3 min left"
