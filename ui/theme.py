"""The theme: system fonts, so that no font is downloaded, and the colours of the faces."""

from pathlib import Path

import gradio as gr

from fantasyportrait.faces.annotate import FACE_COLOURS
from ui.html_snippets import css_colour

MAX_COLOURED = 99


def theme() -> gr.themes.Base:
    """The theme, for light and dark."""
    return gr.themes.Default(
        primary_hue="blue",
        neutral_hue="slate",
        font=["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"],
        font_mono=["ui-monospace", "Consolas", "monospace"],
    )


def style_sheet() -> str:
    """The app's style sheet, with a colour for each face."""
    sheet = (Path(__file__).parent / "style.css").read_text(encoding="utf-8")
    count = len(FACE_COLOURS)
    colours = [f".face-{face} {{ --face: {css_colour(face)}; }}" for face in range(1, MAX_COLOURED + 1)]
    return "\n".join([sheet, f"/* {count} colours, repeated */", *colours])
