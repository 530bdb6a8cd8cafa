"""The theme: system fonts, so that no font is downloaded."""

import gradio as gr


def theme() -> gr.themes.Base:
    """The theme, for light and dark."""
    return gr.themes.Default(
        primary_hue="blue",
        neutral_hue="slate",
        font=["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"],
        font_mono=["ui-monospace", "Consolas", "monospace"],
    )
