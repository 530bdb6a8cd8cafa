"""Build the app and launch it."""

import inspect
import os
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from fantasyportrait.core.errors import RequestError
from ui import words
from ui.doors import Doors
from ui.layout import build_page
from ui.settings import Settings
from ui.temporary import upload_folder
from ui.theme import style_sheet, theme
from ui.uploads import MAX_UPLOAD_BYTES, UploadGate
from ui.workshop import RESULTS_KEPT_S, Workshop

SWEEP_S = 600
MAX_WAITING = 16


def build(workshop: Workshop) -> gr.Blocks:
    """The app, not launched. All it knows of its visitors is in their sessions and in `workshop`."""

    def leave(request: gr.Request) -> None:
        workshop.leave(request.session_hash or "")

    # Results are sent from where they are: gradio would copy each into its temporary folder first.
    gr.set_static_paths([workshop.results])
    demo = gr.Blocks(title=words.TITLE, analytics_enabled=False, delete_cache=(SWEEP_S, int(RESULTS_KEPT_S)))
    with demo:
        build_page(workshop)
        demo.unload(leave)
    demo.queue(max_size=MAX_WAITING, default_concurrency_limit=1, api_open=False)
    return demo


def launch(settings: Settings) -> None:
    """Serve the app until it is interrupted; then its uploads are removed.

    Raises `RequestError` for settings that cannot work, such as a port that cannot be listened on.
    """
    if os.environ.get("WORLD_SIZE", "1") != "1" and "TORCHELASTIC_RUN_ID" in os.environ:
        # Each process would serve an app of its own, all of them on the same card.
        raise RequestError(
            "torchrun is for  fantasyportrait animate: an app uses several cards through  fantasyportrait workers"
        )
    animator, model = settings.animator(), settings.found_model()
    queue = settings.queue(animator)
    with upload_folder() as uploads:
        workshop = Workshop(settings.results, animator, model=model, queue=queue, uploads=UploadGate(uploads))
        demo = build(workshop)
        workshop.sweep_often(SWEEP_S)
        try:
            demo.launch(server_name=settings.host, server_port=settings.port, **_launch_options(workshop))
        except OSError as error:
            raise RequestError(f"the app cannot be served there ({error}): choose another --port or --host") from error
        finally:
            workshop.close()


def _launch_options(workshop: Workshop) -> dict[str, Any]:
    options: dict[str, Any] = {
        "theme": theme(),
        "css": style_sheet(),
        "allowed_paths": [str(workshop.results)],
        "max_file_size": MAX_UPLOAD_BYTES,
        "app_kwargs": {"middleware": [Middleware(Doors, gate=workshop.uploads, folders=workshop.served)]},
        "share": False,
        "show_error": False,
        "ssr_mode": False,
        "mcp_server": False,
        "enable_monitoring": False,
        "footer_links": [],
        "run_history": False,
    }
    # The younger options: a gradio that lacks one lacks also what it turns off.
    known = inspect.signature(gr.Blocks.launch).parameters
    return {name: value for name, value in options.items() if name in known}
