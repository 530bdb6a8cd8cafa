"""Build the app and launch it."""

import inspect
import os
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from fantasyportrait.core.errors import RequestError
from ui import strings
from ui.layout import build_page
from ui.middleware import RouteFilter
from ui.sessions import RESULT_EXPIRY_S, SessionManager
from ui.settings import Settings
from ui.temp_folder import upload_folder
from ui.theme import style_sheet, theme
from ui.uploads import MAX_UPLOAD_BYTES, UploadRegistry

CLEANUP_INTERVAL_S = 600
MAX_QUEUE_SIZE = 16


def build(sessions: SessionManager) -> gr.Blocks:
    """The app, not launched. The state of its visitors is in `sessions`."""

    def leave(request: gr.Request) -> None:
        sessions.leave(request.session_hash or "")

    # Results are sent from where they are: gradio would copy each into its temporary folder first.
    gr.set_static_paths([sessions.results])
    demo = gr.Blocks(
        title=strings.TITLE, analytics_enabled=False, delete_cache=(CLEANUP_INTERVAL_S, int(RESULT_EXPIRY_S))
    )
    with demo:
        build_page(sessions)
        demo.unload(leave)
    demo.queue(max_size=MAX_QUEUE_SIZE, default_concurrency_limit=1, api_open=False)
    return demo


def launch(settings: Settings) -> None:
    """Serve the app until it is interrupted; then its uploads are removed.

    Raises `RequestError` for settings that cannot work, such as a port that is in use.
    """
    if os.environ.get("WORLD_SIZE", "1") != "1" and "TORCHELASTIC_RUN_ID" in os.environ:
        # Each process would serve its own app, all on the same GPU.
        raise RequestError(
            "torchrun is for  fantasyportrait animate: the app uses several GPUs through  fantasyportrait workers"
        )
    animator, model = settings.animator(), settings.resolve_model()
    queue = settings.queue(animator)
    with upload_folder() as uploads:
        sessions = SessionManager(settings.results, animator, model=model, queue=queue, uploads=UploadRegistry(uploads))
        demo = build(sessions)
        sessions.start_cleanup(CLEANUP_INTERVAL_S)
        try:
            demo.launch(server_name=settings.host, server_port=settings.port, **_launch_options(sessions))
        except OSError as error:
            raise RequestError(f"the app cannot be served there ({error}): choose another --port or --host") from error
        finally:
            sessions.close()


def _launch_options(sessions: SessionManager) -> dict[str, Any]:
    options: dict[str, Any] = {
        "theme": theme(),
        "css": style_sheet(),
        "allowed_paths": [str(sessions.results)],
        "max_file_size": MAX_UPLOAD_BYTES,
        "app_kwargs": {"middleware": [Middleware(RouteFilter, registry=sessions.uploads, folders=sessions.served)]},
        "share": False,
        "show_error": False,
        "ssr_mode": False,
        "mcp_server": False,
        "enable_monitoring": False,
        "footer_links": [],
        "run_history": False,
    }
    # An older gradio lacks some of these options, and the features that they turn off.
    known = inspect.signature(gr.Blocks.launch).parameters
    return {name: value for name, value in options.items() if name in known}
