"""Build the app and launch it."""

import inspect
import os
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from fantasyportrait.core.errors import RequestError
from fantasyportrait.studio.studio import Studio
from fantasyportrait.studio.uploads import MAX_UPLOAD_BYTES, UploadRegistry
from ui.api import add_endpoints, endpoint_ids
from ui.components.studio_page import studio_page, style_sheet
from ui.document import FAVICON, TITLE, DocumentHead
from ui.form_schema import form_schema
from ui.middleware import RouteFilter
from ui.settings import Settings
from ui.strings import translations
from ui.temp_folder import upload_folder
from ui.theme import theme

CLEANUP_INTERVAL_S = 600
MAX_QUEUE_SIZE = 64
# gradio encrypts what it keeps in the browser. The key is sent to every visitor, so it protects nothing, but it must
# stay the same for the page to find its session after a restart of the server.
STORAGE_KEY, STORAGE_SECRET = "fantasyportrait-session", "fantasyportrait"


def build(studio: Studio) -> gr.Blocks:
    """The app, not launched. The state of its visitors is in `studio`."""

    def view(call: dict[str, Any]) -> dict[str, Any]:
        return studio.view(call.get("token"), call.get("version"), call.get("still"))

    def act(call: dict[str, Any]) -> dict[str, Any]:
        return studio.act(call.get("token"), call.get("action"), call.get("arguments"), call.get("still"))

    # A call for each frame: gradio's stream of images was nine times slower, and keeps each frame as a file.
    def live(call: dict[str, Any]) -> dict[str, Any]:
        return studio.live(call.get("token"), call)

    def look(call: dict[str, Any]) -> dict[str, Any]:
        return studio.look(call.get("token"), call.get("picture"))

    def enter(token: object) -> tuple[str, dict[str, Any]]:
        known = studio.enter(token)
        return known, {"token": known, "view": studio.view(known), "schema": schema}

    schema = form_schema(studio.model)
    demo = gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(CLEANUP_INTERVAL_S, int(studio.expiry_s)))
    with demo:
        token = gr.BrowserState("", storage_key=STORAGE_KEY, secret=STORAGE_SECRET)
        page = studio_page([view, act, look, live])
        demo.load(enter, token, [token, page], api_visibility="private", show_progress="hidden", concurrency_limit=None)
        add_endpoints(studio.api)
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
    if model is not None and settings.ray is None:
        # On ZeroGPU the weights are loaded once, by this thread; elsewhere nothing happens here.
        animator.preload(model)
    queue = settings.queue(animator)
    with upload_folder() as uploads:
        registry = UploadRegistry(uploads)
        studio = Studio(settings.results, animator, queue, registry, model, options=settings.first_options)
        demo = build(studio)
        studio.start(CLEANUP_INTERVAL_S)
        try:
            demo.launch(
                server_name=settings.host, server_port=settings.port, **_launch_options(studio, demo, settings.mcp)
            )
        except OSError as error:
            raise RequestError(
                "the app cannot be served there ({error}): choose another --port or --host", error=error
            ) from error
        finally:
            studio.close()


def _launch_options(studio: Studio, demo: gr.Blocks, mcp: bool) -> dict[str, Any]:
    options: dict[str, Any] = {
        "theme": theme(),
        "css": style_sheet(),
        "allowed_paths": [str(studio.sessions.folder), str(studio.links.folder)],
        "max_file_size": MAX_UPLOAD_BYTES,
        "app_kwargs": {
            "middleware": [
                Middleware(
                    RouteFilter,
                    registry=studio.uploads,
                    sessions=studio.sessions.folder,
                    shared=studio.links.folder,
                    functions=("view", "act", "look", "live"),
                    endpoints=endpoint_ids(demo),
                    mcp=mcp,
                ),
                Middleware(DocumentHead),
            ]
        },
        "i18n": translations(),
        "favicon_path": str(FAVICON),
        "pwa": True,
        "share": False,
        "show_error": False,
        "ssr_mode": False,
        "mcp_server": mcp,
        "enable_monitoring": False,
        "footer_links": [],
        "run_history": False,
    }
    # An older gradio lacks some of these options, and the features that they turn off.
    known = inspect.signature(gr.Blocks.launch).parameters
    return {name: value for name, value in options.items() if name in known}
