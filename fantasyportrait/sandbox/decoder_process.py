"""A decoder process: it gets one request at a time and is killed when it exceeds its time."""

import contextlib
import json
import mmap
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import IO, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

import fantasyportrait
from fantasyportrait.core.limits import Limits
from fantasyportrait.core.sentences import Sentence
from fantasyportrait.sandbox.channel import (
    Channel,
    ChannelClosed,
    Payload,
    PipeChannel,
    SocketChannel,
    can_send_files,
)

# For each unit of work: a photo, a look at a clip, a frame, a block of sound.
CPU_S = 20
WALL_S = 30.0
_START_S = 60.0
_LARGE_BYTES = 16 << 20
_CODE = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from fantasyportrait.sandbox.decoder_server import main; main(sys.argv[2:])"
)


class DecoderLost(Exception):
    """The child has ended or was killed; the text gives the reason, as the end of a sentence."""


class DecoderProcess:
    """A child process with its connection and shared memory. One thread at a time may use it.

    `cpu_s` and `wall_s` bound each unit of work; `deadline_s` is when the unit under way is over time, as
    `time.monotonic` counts, None between units.
    """

    def __init__(self, limits: Limits, cpu_s: int = CPU_S, wall_s: float = WALL_S) -> None:
        self._cpu_s, self._wall_s = cpu_s, wall_s
        self.deadline_s: float | None = None
        self._late = False
        self._lock = threading.Lock()
        size = 4 * limits.pixels
        if can_send_files():
            self._process, self._channel, self._block = _over_socket(size)
        else:
            self._process, self._channel, self._block = _over_pipes(size)
        self._bytes = np.frombuffer(self._block, np.uint8)
        try:
            with self._unit(_START_S):
                self._channel.send({"limits": asdict(limits)})
                self._channel.receive()
        except ChannelClosed as error:
            raise self._lost_error() from error

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """False once the process has ended. Only for a child without a request under way."""
        return self._process.poll() is None

    def call(self, request: Payload, descriptor: int | None = None) -> Payload:
        """Send a request, with an open file for one that begins something, and wait for the answer: one unit of work.

        Raises DecoderLost; then the child is gone.
        """
        try:
            with self._unit(self._wall_s):
                self._renew_cpu()
                self._channel.send(request, descriptor)
                answer, stray = self._channel.receive()
        except ChannelClosed as error:
            raise self._lost_error() from error
        if stray is not None:
            os.close(stray)
            raise self.invalid_answer()
        return answer

    def array(self, shape: object, most: int, channels: tuple[int, ...] = (3,)) -> NDArray[np.uint8]:
        """Return a copy of the pixels (H, W, C) that an answer describes; raises DecoderLost where it is not valid.

        C is one of `channels`, and H * W at most `most`.
        """
        if not isinstance(shape, list) or len(shape) != 3 or not all(type(side) is int for side in shape):
            raise self.invalid_answer()
        height, width, depth = shape
        if depth not in channels or min(height, width) < 1 or height * width > most:
            raise self.invalid_answer()
        return self._take(depth * height * width).reshape(shape)

    def samples(self, count: object) -> NDArray[np.float32]:
        """Return a copy of the sound (n, 2) that an answer describes; raises DecoderLost where it is not valid."""
        if type(count) is not int or not 0 <= 8 * count <= self._bytes.size:
            raise self.invalid_answer()
        return self._take(8 * count).view(np.float32).reshape(-1, 2)

    def piece(self, count: object) -> bytes:
        """Return a copy of the bytes that an answer describes; raises DecoderLost where it is not valid."""
        if type(count) is not int or not 0 <= count <= self._bytes.size:
            raise self.invalid_answer()
        return self._take(count).tobytes()

    def invalid_answer(self) -> DecoderLost:
        """Kill a child whose answer is not valid."""
        self.close()
        return DecoderLost("gave an answer that cannot be right")

    def kill_if_overdue(self) -> bool:
        """Kill the process if its unit of work is over time; returns whether it was. A watchdog thread calls this."""
        with self._lock:
            if self.deadline_s is None or time.monotonic() < self.deadline_s:
                return False
            self._late = True
            self._process.kill()
            return True

    def kill(self) -> None:
        """End the process; a thread that waits for its answer gets DecoderLost, and closes it."""
        self._process.kill()

    def close(self) -> None:
        """End the process and wait until it is gone; safe to call twice."""
        self._process.kill()
        self._process.wait()
        self._channel.close()
        self._bytes = np.empty(0, np.uint8)
        with contextlib.suppress(
            BufferError
        ):  # an array of the shared memory is still in use: the memory is freed with it
            self._block.close()

    @contextlib.contextmanager
    def _unit(self, wall_s: float) -> Iterator[None]:
        with self._lock:
            self.deadline_s = time.monotonic() + wall_s
        try:
            yield
        finally:
            with self._lock:
                self.deadline_s = None

    def _renew_cpu(self) -> None:
        """Set the CPU limit of the next unit of work, where the system can limit another process (Linux)."""
        if sys.platform == "linux":
            import resource

            with contextlib.suppress(OSError):  # it has died: the answer will say so
                used_s = time.clock_gettime(~self.pid << 3 | 2)  # that process's clock, see clock_getcpuclockid(3)
                resource.prlimit(self.pid, resource.RLIMIT_CPU, (int(used_s) + 1 + self._cpu_s, resource.RLIM_INFINITY))

    def _take(self, size: int) -> NDArray[np.uint8]:
        copy: NDArray[np.uint8] = self._bytes[:size].copy()
        if size > _LARGE_BYTES and hasattr(mmap, "MADV_REMOVE"):
            with contextlib.suppress(OSError):
                self._block.madvise(mmap.MADV_REMOVE)  # give its pages back: most pictures are smaller
        return copy

    def _lost_error(self) -> DecoderLost:
        self.close()
        if self._late:
            return DecoderLost(Sentence("took more than {wall_s:g} s for one step", wall_s=self._wall_s))
        if sys.platform != "win32" and self._process.returncode == -signal.SIGXCPU:
            return DecoderLost(Sentence("took more than {cpu_s} s of computing for one step", cpu_s=self._cpu_s))
        return DecoderLost("crashed")


def _command(*arguments: object) -> list[str]:
    """The command of a Python with our packages and nothing of the user's environment."""
    here = str(Path(fantasyportrait.__file__).parents[1])
    paths = [here, *(path for path in sys.path if os.path.isabs(path) and path != here)]
    return [sys.executable, "-I", "-c", _CODE, json.dumps(paths), str(os.getpid()), *map(str, arguments)]


def _over_socket(size: int) -> tuple["subprocess.Popen[bytes]", Channel, mmap.mmap]:
    ours, theirs = socket.socketpair()
    with theirs, _unnamed_file() as file:
        file.truncate(size)
        block = mmap.mmap(file.fileno(), size)
        try:
            process = subprocess.Popen(
                _command("socket", theirs.fileno(), file.fileno(), size),
                pass_fds=(theirs.fileno(), file.fileno()),
                env={
                    "MALLOC_ARENA_MAX": "1",
                    "OPENBLAS_NUM_THREADS": "1",
                },  # otherwise threads reserve memory that they never use
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the program, which ends its children itself
            )
        except BaseException:
            ours.close()
            raise
    return process, SocketChannel(ours), block


def _unnamed_file() -> IO[bytes]:
    """Open a nameless file, in memory where possible; it disappears with the last process that has it open."""
    if sys.platform == "linux":
        return os.fdopen(os.memfd_create("fantasyportrait"), "r+b")
    return tempfile.TemporaryFile()


def _over_pipes(size: int) -> tuple["subprocess.Popen[bytes]", Channel, mmap.mmap]:
    name = f"fantasyportrait-{uuid.uuid4().hex}"
    block = mmap.mmap(-1, size, name)  # type: ignore[arg-type, unused-ignore]
    process = subprocess.Popen(
        _command("pipes", name, size),
        env={key: os.environ[key] for key in ("SYSTEMROOT",) if key in os.environ},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    return process, PipeChannel(cast(BinaryIO, process.stdout), cast(BinaryIO, process.stdin)), block
