"""Writing of videos: the suffix selects the format, and the file appears whole or not at all."""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Protocol

import av
import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.atomic_write import atomic_write, output_errors
from fantasyportrait.core.errors import OutputError
from fantasyportrait.media.image_sinks import FolderSink, GifSink
from fantasyportrait.media.sound import Block
from fantasyportrait.media.video_sink import VideoSink

ALPHA_SUFFIXES = (".webm", "")
"""Suffixes of outputs that may be transparent: VP9 with alpha, and PNG frames."""


class _Sink(Protocol):
    """Takes frames one by one; `finish` completes the file, `close` only closes it."""

    def write(self, frame: NDArray[np.uint8]) -> None:
        """Add one frame, uint8 RGB (H, W, 3) or RGBA (H, W, 4)."""

    def finish(self) -> None:
        """Write the buffered frames and complete the file."""

    def close(self) -> None:
        """Release everything; safe to call twice."""


class VideoWriter:
    """Writes frames of `size` (width, height) at the exact `rate` to .mp4, .webm, .gif, or a folder of PNG pictures.

    `sound`, float32 (n, 2) at 48 kHz, is drawn as the frames advance and cut where they end; GIF and PNG have none.
    With `alpha` frames are RGBA with straight alpha; only .webm and PNG take them.
    Used as a context manager: at a clean exit the file appears at `path`; after an exception nothing is left.
    Raises OutputError for an unknown suffix, an odd size, a full disk, or a place that cannot be written.
    """

    def __init__(
        self,
        path: Path,
        size: tuple[int, int],
        rate: Fraction,
        sound: Iterator[Block] | None = None,
        metadata: dict[str, str] | None = None,
        *,
        alpha: bool = False,
    ) -> None:
        kind = path.suffix.lower().removeprefix(".")
        if kind not in ("mp4", "webm", "gif", ""):
            raise OutputError(
                "cannot write {path}: end the name in .mp4, .webm or .gif, or in nothing for PNG frames", path=path
            )
        if alpha and path.suffix.lower() not in ALPHA_SUFFIXES:
            raise OutputError(
                "cannot write {path} with transparent parts: only .webm and PNG frames have them", path=path
            )
        if kind in ("mp4", "webm") and (size[0] % 2 or size[1] % 2):
            raise OutputError(
                "cannot write {path} at {width} x {height}: width and height must be even",
                path=path,
                width=size[0],
                height=size[1],
            )
        if kind == "" and path.exists() and not (path.is_dir() and not any(path.iterdir())):
            raise OutputError("cannot write PNG frames to {path}: it exists and is not an empty folder", path=path)
        if kind != "" and path.is_dir():
            raise OutputError("cannot write {path}: a folder of that name is in the way", path=path)
        self._path = path
        self._kind = kind
        self._channels = 4 if alpha else 3
        self._size = size
        self._rate = rate
        self._sound = sound
        self._metadata = metadata or {}
        self._frames = 0
        self._sink: _Sink | None = None
        self._opening = self._sink_context()

    def __enter__(self) -> "VideoWriter":
        self._sink = self._opening.__enter__()
        return self

    def write(self, frame: NDArray[np.uint8]) -> None:
        """Add one RGB frame, uint8 (H, W, 3) of the writer's size; RGBA (H, W, 4) with `alpha`."""
        if self._sink is None:
            raise OutputError("cannot write to {path}: open the writer with a with-statement first", path=self._path)
        if frame.shape != (self._size[1], self._size[0], self._channels) or frame.dtype != np.uint8:
            raise OutputError(
                "a frame of {dtype} {shape} does not fit a video of {width} x {height}",
                dtype=frame.dtype,
                shape=frame.shape,
                width=self._size[0],
                height=self._size[1],
            )
        with self._as_output_error():
            self._sink.write(np.ascontiguousarray(frame))
        self._frames += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        self._sink = None
        return self._opening.__exit__(kind, error, trace)

    @contextmanager
    def _sink_context(self) -> Iterator[_Sink]:
        with ExitStack() as stack:
            with self._as_output_error():
                made = stack.enter_context(atomic_write(self._path))
                sink = stack.enter_context(closing(self._open(made)))
            yield sink
            if not self._frames:
                raise OutputError("cannot write {path}: there is not a single frame", path=self._path)
            with self._as_output_error():
                sink.finish()
                stack.close()

    @contextmanager
    def _as_output_error(self) -> Iterator[None]:
        try:
            with output_errors(self._path):
                yield
        except av.error.FFmpegError as error:
            raise OutputError(
                "cannot write {path}: the encoder stopped ({error})", path=self._path, error=error
            ) from error

    def _open(self, partial: Path) -> _Sink:
        if self._kind == "gif":
            return GifSink(partial, self._size, self._rate)
        if self._kind == "":
            return FolderSink(partial, self._metadata)
        kind = "webm-alpha" if self._channels == 4 else self._kind
        return VideoSink(partial, kind, self._size, self._rate, self._sound, self._metadata)
