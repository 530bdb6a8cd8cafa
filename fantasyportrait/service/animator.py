"""The animator: runs a request, emits events and writes the video."""

import contextvars
import queue
import threading
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.disk_cache import CACHE_EXPIRY_S
from fantasyportrait.core.errors import Cancelled, FantasyPortraitError, RequestError
from fantasyportrait.core.suggest import did_you_mean
from fantasyportrait.engines.base import Engine
from fantasyportrait.engines.preview import PreviewEngine
from fantasyportrait.engines.wan_engine import WanEngine
from fantasyportrait.engines.wan_rank import run_wan_rank
from fantasyportrait.media.decoder import Decoder
from fantasyportrait.runtime.runtime_config import RuntimeConfig
from fantasyportrait.schema import events
from fantasyportrait.schema.converters import StrPath, as_path, format_value
from fantasyportrait.schema.events import Event, Result
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.service.input_reader import InputReader
from fantasyportrait.service.request_runner import RequestRunner
from fantasyportrait.service.small_portraits import SmallPortraits

if TYPE_CHECKING:
    from fantasyportrait.runtime.process_group import ProcessGroup

POLL_INTERVAL_S = 0.2


class Animator:
    """Runs requests with the engines of this process. Thread-safe.

    `process_group` are the processes that share the diffusion engine's steps, see `workers.torchrun`; all but rank 0
    call `run_rank` instead. `decoder` reads photos, clips and sound; None decodes in this process. A cached analysis of
    a clip that is not used for `cache_expiry_s` seconds expires.
    """

    run_rank = staticmethod(run_wan_rank)

    def __init__(
        self,
        models_dir: StrPath | None = None,
        cache_dir: StrPath | None = None,
        runtime_config: RuntimeConfig | None = None,
        process_group: "ProcessGroup | None" = None,
        decoder: Decoder | None = None,
        cache_expiry_s: float = CACHE_EXPIRY_S,
    ) -> None:
        self.inputs = inputs = InputReader(models_dir, cache_dir, decoder, cache_expiry_s)
        self.small_portraits = SmallPortraits(inputs)
        self._wan = WanEngine(
            inputs.face_models,
            inputs.cache_dir,
            runtime_config or RuntimeConfig(),
            inputs.decoder,
            process_group,
            cache_expiry_s,
        )
        self._engines: tuple[Engine, ...] = (PreviewEngine(inputs.models_dir), self._wan)

    def engine(self, name: str) -> Engine:
        """The engine of that name; `RequestError` for an unknown one."""
        for engine in self._engines:
            if engine.name == name:
                return engine
        known = [engine.name for engine in self._engines]
        raise RequestError(
            "there is no engine {name!r}{hint}: this version has {names}",
            name=name,
            hint=did_you_mean(name, known),
            names=", ".join(known),
        )

    def preload(self, model: str) -> None:
        """On ZeroGPU, load the diffusion engine's model before the app is launched; elsewhere nothing happens.

        See `WanEngine.preload`.
        """
        self._wan.preload(model)

    def animate(
        self,
        request: AnimationRequest,
        output: StrPath,
        *,
        cancel: CancelToken | None = None,
        on_event: Callable[[Event], None] | None = None,
    ) -> Result:
        """Run the request in this thread and return its result; `on_event` gets the events of the run.

        Raises a `FantasyPortraitError`; then nothing was written.
        """
        if not isinstance(request, AnimationRequest):
            raise RequestError("request is {request}: give an AnimationRequest", request=format_value(request))
        return RequestRunner(
            self.inputs,
            self.engine,
            request,
            as_path(output, "output"),
            cancel or CancelToken(),
            on_event or (lambda event: None),
        ).result()

    def side_by_side(
        self,
        request: AnimationRequest,
        video: StrPath,
        *,
        cancel: CancelToken | None = None,
        on_event: Callable[[Event], None] | None = None,
    ) -> Path:
        """Make the side-by-side video of a finished result afterwards, and return its path.

        `request` is the one that was saved beside the result, and `video` its file; its clips and photo are read again.
        Raises a `FantasyPortraitError`; then nothing was written.
        """
        return RequestRunner(
            self.inputs,
            self.engine,
            request,
            as_path(video, "video"),
            cancel or CancelToken(),
            on_event or (lambda event: None),
        ).side_by_side()

    def events(
        self, request: AnimationRequest, output: StrPath, cancel: CancelToken | None = None
    ) -> Generator[Event, None, None]:
        """Run the request in a thread of its own and yield its events; the last is Done, Failed or Cancelled.

        Closing the generator, or Ctrl-C, stops the run. An error that is not a `FantasyPortraitError` is a bug, and is
        raised here.
        """
        token = cancel or CancelToken()
        waiting: queue.Queue[Event | BaseException] = queue.Queue()

        def work() -> None:
            try:
                waiting.put(events.Done(self.animate(request, output, cancel=token, on_event=waiting.put)))
            except Cancelled:
                waiting.put(events.Cancelled())
            except FantasyPortraitError as error:
                waiting.put(events.Failed(error))
            except BaseException as error:
                waiting.put(error)

        # Not a daemon, even where a daemon thread starts it: the interpreter waits for it before it exits.
        # In this context, by which ZeroGPU knows the visitor whose time it counts.
        context = contextvars.copy_context()
        worker = threading.Thread(target=context.run, args=(work,), name="fantasyportrait-animator", daemon=False)
        worker.start()
        try:
            yield from _drain(waiting)
        finally:
            token.cancel()
            worker.join()


def _drain(waiting: "queue.Queue[Event | BaseException]") -> Iterator[Event]:
    """Yield events up to the last one."""
    while True:
        try:
            event = waiting.get(timeout=POLL_INTERVAL_S)  # Windows cannot interrupt a wait without a timeout
        except queue.Empty:
            continue
        if isinstance(event, BaseException):
            raise event
        yield event
        if isinstance(event, events.Done | events.Failed | events.Cancelled):
            return
