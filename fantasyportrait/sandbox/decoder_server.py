"""The decoder process's loop: each request is answered by a message and, for pixels and sound, shared memory.

It opens no path by itself (except on Windows) and gets no environment. Its limits are set before the first file.
"""

import importlib
import mmap
import os
import socket
import sys
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.errors import FantasyPortraitError, MediaError
from fantasyportrait.core.limits import Limits
from fantasyportrait.core.sentences import encode
from fantasyportrait.images.input_file import DescriptorPath
from fantasyportrait.media.clip_info import ClipInfo
from fantasyportrait.media.clips import read_native_steps, read_resampled_steps
from fantasyportrait.media.decoder import LocalDecoder
from fantasyportrait.sandbox.channel import Channel, ChannelClosed, Payload, PipeChannel, SocketChannel

MEMORY_BYTES = 1536 << 20
# A unit of work without a result sends "busy" after this time and continues as another unit.
_BUSY_S = 2.0
_WATCH_S = 1.0
_OPEN_FILES = 32
# Pillow would import its plugins, and lcms, when the first file needs them.
_WARM = ("Avif", "Bmp", "Gif", "Jpeg", "Mpo", "Png", "Tiff", "WebP")


def main(arguments: list[str]) -> None:
    """Serve until the channel closes. `arguments`: how to connect, see `decoder_process`."""
    parent, channel, block = int(arguments[0]), *_connection(arguments[1:])
    if sys.platform != "win32":
        threading.Thread(target=_exit_with_parent, args=(parent,), daemon=True).start()
    for name in _WARM:
        importlib.import_module(f"PIL.{name}ImagePlugin")
    importlib.import_module("PIL.ImageCms")
    try:
        first, _ = channel.receive()
        # JSON has no tuples.
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in first["limits"].items()
        }
        limits = Limits(**given)
        _set_rlimits()
        channel.send({"ready": True})
        _Server(channel, block, limits).serve()
    except ChannelClosed:
        return


def _connection(arguments: list[str]) -> tuple[Channel, mmap.mmap]:
    if arguments[0] == "pipes":
        # Only Windows has mappings with a name.
        block = mmap.mmap(-1, int(arguments[2]), arguments[1])  # type: ignore[arg-type, unused-ignore]
        return PipeChannel(sys.stdin.buffer, sys.stdout.buffer), block
    return SocketChannel(socket.socket(fileno=int(arguments[1]))), mmap.mmap(int(arguments[2]), int(arguments[3]))


def _exit_with_parent(parent: int) -> None:
    """End this process when its parent has ended, also in the middle of a long decoding."""
    while os.getppid() == parent:
        time.sleep(_WATCH_S)
    os._exit(1)


def _set_rlimits() -> None:
    """Limit the resources that decoding does not need. Windows has no such limits."""
    if sys.platform == "win32":
        return
    import resource

    def at_most(what: int, value: int) -> None:
        hard = resource.getrlimit(what)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(what, (value, value))

    if sys.platform != "darwin":  # this limit also counts memory that was never used
        at_most(resource.RLIMIT_AS, MEMORY_BYTES)
    at_most(resource.RLIMIT_NOFILE, _OPEN_FILES)
    at_most(resource.RLIMIT_FSIZE, 0)
    at_most(resource.RLIMIT_CORE, 0)


class _Server:
    """Answers requests; at most one clip or sound is open at a time."""

    def __init__(self, channel: Channel, block: mmap.mmap, limits: Limits) -> None:
        self._channel, self._limits = channel, limits
        self._block = np.frombuffer(block, np.uint8)
        self._decoder = LocalDecoder(limits)
        self._steps: Generator[Payload, None, None] | None = None
        self._descriptor: int | None = None

    def serve(self) -> None:
        """Answer every request; ends with ChannelClosed."""
        while True:
            request, descriptor = self._channel.receive()
            if descriptor is not None:
                self._close_current()
                self._descriptor = descriptor
            try:
                answer = self._answer(request)
            except FantasyPortraitError as error:
                answer = _refusal(error)
            except MemoryError:
                text = "{path} needs more memory than may be used for it: scale it down, or convert it"
                answer = _refusal(MediaError(text, path=request.get("path")))
            except Exception as error:
                text = "{path} is damaged and cannot be read ({error}): save it again, or convert it"
                answer = _refusal(MediaError(text, path=request.get("path"), error=type(error).__name__))
            self._channel.send(answer)

    def _answer(self, request: Payload) -> Payload:
        what = request["do"]
        if what == "next":
            return self._next()
        if what == "close":
            self._close_current()
            return {}
        self._close_current(keep_file=True)
        path = self._path(request["path"])
        if what == "photo":
            photo = self._decoder.photo(path)
            values = photo.pixels if photo.alpha is None else np.dstack([photo.pixels, photo.alpha])
            return {"shape": self._write_block(values), "messages": encode(photo.messages)}
        if what == "probe":
            return _clip_info_payload(self._decoder.probe(path))
        if what == "native_rate":
            found = self._decoder.native_rate(path)
            return {"rate": None} if found is None else {"rate": str(found[0]), "steady": found[1]}
        if what == "metadata":
            return {"texts": self._decoder.metadata(path)}
        if what == "sound_length_s":
            return {"length_s": str(self._decoder.sound_length_s(path))}
        damage: list[str] = []
        if what == "sound":
            self._steps = self._sound(path, request)
        elif what == "remux":
            self._steps = self._remux(path)
        else:
            read = self._frames if what == "frames" else self._native_frames
            self._steps = self._with_keepalive(read(path, request, damage), damage)
        return {}

    def _path(self, name: str) -> Path:
        if self._descriptor is None:
            return Path(name)
        path = DescriptorPath(name)
        path.descriptor = self._descriptor
        return path

    def _close_current(self, keep_file: bool = False) -> None:
        """Close the file of the previous request."""
        if self._steps is not None:
            self._steps.close()
            self._steps = None
        if self._descriptor is not None and not keep_file:
            os.close(self._descriptor)
            self._descriptor = None

    def _next(self) -> Payload:
        answer = {"end": True} if self._steps is None else next(self._steps, {"end": True})
        if "end" in answer:
            self._steps = None
        return answer

    def _frames(self, path: Path, request: Payload, damage: list[str]) -> Iterator[Payload | None]:
        """Yield an answer for each row, None for each frame that is on no row."""
        span = request["start_s"], request["end_s"], request["max_side"]
        last = None
        with closing(read_resampled_steps(path, Fraction(request["rate"]), *span, damage, self._limits)) as steps:
            for step in steps:
                if step is None:
                    yield None
                    continue
                native_time, pixels = step
                # A frame on several rows is the same array, on the other side too.
                shape = None if pixels is last else self._write_block(pixels)
                last = pixels
                yield {"time": native_time, "shape": shape}

    def _native_frames(self, path: Path, request: Payload, damage: list[str]) -> Iterator[Payload | None]:
        """Yield an answer for each frame in the clip's own times, None for each frame that is skipped."""
        after, max_rate = (None if request[name] is None else Fraction(request[name]) for name in ("after", "max_rate"))
        with closing(read_native_steps(path, after, max_rate, request["max_side"], damage, self._limits)) as steps:
            for step in steps:
                if step is None:
                    yield None
                    continue
                begin, end, pixels = step
                yield {"begin": str(begin), "end_s": str(end), "shape": self._write_block(pixels)}

    def _with_keepalive(self, steps: Iterator[Payload | None], damage: list[str]) -> Generator[Payload, None, None]:
        """Yield the answers with messages about damage, and "busy" while the next one takes long."""
        told, begun = 0, time.monotonic()
        for step in steps:
            if step is not None:
                yield {**step, "damage": encode(damage[told:])}
                told = len(damage)
            elif time.monotonic() - begun > _BUSY_S:
                yield {"busy": True}
            else:
                continue
            begun = time.monotonic()
        yield {"end": True, "damage": encode(damage[told:])}

    def _sound(self, path: Path, request: Payload) -> Generator[Payload, None, None]:
        with closing(self._decoder.sound(path, Fraction(request["start_s"]))) as blocks:
            for samples in blocks:
                self._write_block(samples)
                yield {"samples": len(samples)}
        yield {"end": True}

    def _remux(self, path: Path) -> Generator[Payload, None, None]:
        with closing(self._decoder.remux(path)) as pieces:
            for kind, piece in pieces:
                self._write_block(np.frombuffer(piece, np.uint8))
                yield {"kind": kind, "bytes": len(piece)}
        yield {"end": True}

    def _write_block(self, values: NDArray[Any]) -> list[int]:
        """Copy an array into the shared block; returns its shape."""
        data = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
        if data.size > self._block.size:
            raise MediaError(
                "what was decoded takes {size} MiB, more than is passed on: scale it down", size=data.size >> 20
            )
        self._block[: data.size] = data
        return list(values.shape)


def _refusal(error: FantasyPortraitError) -> Payload:
    return {"error": [type(error).__name__, encode(error.sentence)]}


def _clip_info_payload(info: ClipInfo) -> Payload:
    return {**encode(asdict(info)), "path": str(info.path), "rate": str(info.rate)}
