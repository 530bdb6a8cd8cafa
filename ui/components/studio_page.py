"""The page as one HTML component: it draws the view of the session, and sends the actions of the visitor."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

STATIC = Path(__file__).parents[1] / "static"
SCRIPTS = (
    "vendor/htm-preact.js",
    "text.js",
    "server.js",
    "fields.js",
    "camera.js",
    "stage.js",
    "presenter.js",
    "motions.js",
    "clips.js",
    "trim.js",
    "webcam.js",
    "cast.js",
    "run.js",
    "result.js",
    "library.js",
    "reach.js",
    "page.js",
)
"""In the order in which they use each other; together they are the body of one function."""
STYLES = ("page.css", "stage.css", "presenter.css", "cast.css", "run.css", "result.css", "library.css")
TEMPLATE = '<div class="studio" aria-busy="true"></div>'


def studio_page(server_functions: list[Callable[..., Any]]) -> gr.HTML:
    """The page. Its value is what the scripts begin with: token, view and the description of the form.

    No subclass: gradio writes a type stub beside the module of each subclass of a component.
    """
    return gr.HTML(
        html_template=TEMPLATE,
        js_on_load=script(),
        apply_default_css=False,
        elem_id="studio",
        server_functions=server_functions,
    )


def script() -> str:
    """All scripts of the page."""
    return "\n".join((STATIC / name).read_text(encoding="utf-8") for name in SCRIPTS)


def style_sheet() -> str:
    """All style sheets of the page."""
    return "\n".join((STATIC / name).read_text(encoding="utf-8") for name in STYLES)
