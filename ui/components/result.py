"""The result: its videos, downloads and messages."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from fantasyportrait.media.request_files import load_request
from fantasyportrait.schema.events import Result
from ui import form, html_snippets, strings


@dataclass(frozen=True)
class ResultWidgets:
    """The widgets of a finished result; `container` holds the others and is hidden until there is one."""

    container: gr.Column
    video: gr.Video
    side_by_side: gr.Video
    save_video: gr.DownloadButton
    save_side_by_side: gr.DownloadButton
    save_request: gr.DownloadButton
    messages: gr.HTML

    def outputs(self) -> list[Any]:
        """All of them, as the outputs of a listener."""
        return [getattr(self, name) for name in self.__dataclass_fields__]


def render_result() -> ResultWidgets:
    """Place the widgets."""
    with gr.Column(visible=False, elem_id="result-container") as container:
        video = gr.Video(label="Result", interactive=False, autoplay=True, loop=True, buttons=[], elem_id="result")
        messages = gr.HTML(elem_id="result-messages")
        side = gr.Video(label="Side by side", interactive=False, loop=True, buttons=[], elem_id="side-by-side")
        with gr.Row(elem_classes="downloads"):
            save_video = gr.DownloadButton("Download video", size="sm", elem_id="save-video", min_width=150)
            save_side = gr.DownloadButton(
                "Download side by side", size="sm", elem_id="save-side-by-side", min_width=150
            )
            save_request = gr.DownloadButton("Download request", size="sm", elem_id="save-request", min_width=150)
    return ResultWidgets(container, video, side, save_video, save_side, save_request, messages)


def show_result(widgets: ResultWidgets, result: Result) -> dict[Any, Any]:
    """The updates that show a result."""
    request = load_request(result.request)
    saved = result.request.with_name("request.json")
    # Anyone who knows the URL of the video can request both files.
    for place in (saved, result.request):
        place.write_text(form.portable(request), encoding="utf-8")
    paths = form.private_paths(request)
    side = str(result.side_by_side) if result.side_by_side else None
    return {
        widgets.container: gr.update(visible=True),
        widgets.video: str(result.video),
        widgets.side_by_side: gr.update(value=side, visible=side is not None),
        widgets.save_video: str(result.video),
        widgets.save_side_by_side: gr.update(value=side, visible=side is not None),
        widgets.save_request: str(saved),
        widgets.messages: _messages(result, paths),
    }


def _messages(result: Result, paths: list[Path]) -> str:
    length = f"{result.duration_s:.2f} s, {result.frames} frames"
    return html_snippets.message_list([length, *(strings.hide_paths(message, paths) for message in result.messages)])
