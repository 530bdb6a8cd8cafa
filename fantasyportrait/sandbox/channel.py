"""Messages between the program and a decoder process: JSON with its length in front, and open files.

It is JSON because messages of a compromised child must not run code in this process.
"""

import json
import os
import socket
import struct
import sys
from contextlib import suppress
from typing import Any, BinaryIO, Protocol

MOST_BYTES = 1 << 20
_LENGTH = struct.Struct(">I")
Payload = dict[str, Any]


class ChannelClosed(Exception):
    """The other process has ended, or sent something that is not a message."""


class Channel(Protocol):
    """A connection to one other process."""

    def send(self, message: Payload, descriptor: int | None = None) -> None:
        """Send a message, with an open file where one is given. Raises ChannelClosed."""
        ...

    def receive(self) -> tuple[Payload, int | None]:
        """Wait for a message and its open file, if any. Raises ChannelClosed."""
        ...

    def close(self) -> None:
        """Close the connection; safe to call twice."""
        ...


class SocketChannel:
    """A channel over a Unix socket, which can pass file descriptors."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def send(self, message: Payload, descriptor: int | None = None) -> None:
        """See `Channel`."""
        data = _packed(message)
        try:
            if descriptor is None:
                self._connection.sendall(data)
            else:
                sent = socket.send_fds(self._connection, [data], [descriptor])
                self._connection.sendall(data[sent:])
        except OSError as error:
            raise ChannelClosed(str(error)) from error

    def receive(self) -> tuple[Payload, int | None]:
        """See `Channel`."""
        try:
            head, descriptors, _, _ = socket.recv_fds(self._connection, _LENGTH.size, 1)
        except OSError as error:
            raise ChannelClosed(str(error)) from error
        try:
            head += self._receive_exactly(_LENGTH.size - len(head)) if head else b""
            return _read(head, self._receive_exactly), descriptors[0] if descriptors else None
        except (OSError, ChannelClosed) as error:
            for descriptor in descriptors:
                os.close(descriptor)
            raise ChannelClosed(str(error)) from error

    def close(self) -> None:
        """See `Channel`."""
        self._connection.close()

    def _receive_exactly(self, size: int) -> bytes:
        parts = bytearray()
        while len(parts) < size:
            part = self._connection.recv(size - len(parts))
            if not part:
                raise ChannelClosed("it ended in the middle of a message")
            parts += part
        return bytes(parts)


class PipeChannel:
    """A channel over two pipes, where sockets cannot pass files (Windows): the child opens files by path."""

    def __init__(self, reading: BinaryIO, writing: BinaryIO) -> None:
        self._reading, self._writing = reading, writing

    def send(self, message: Payload, descriptor: int | None = None) -> None:
        """See `Channel`; a descriptor cannot be sent."""
        try:
            self._writing.write(_packed(message))
            self._writing.flush()
        except (OSError, ValueError) as error:
            raise ChannelClosed(str(error)) from error

    def receive(self) -> tuple[Payload, int | None]:
        """See `Channel`."""
        try:
            return _read(self._reading.read(_LENGTH.size), self._reading.read), None
        except (OSError, ValueError) as error:
            raise ChannelClosed(str(error)) from error

    def close(self) -> None:
        """See `Channel`."""
        for file in (self._writing, self._reading):
            with suppress(OSError):
                file.close()


def can_send_files() -> bool:
    """Whether open files can be passed to a child on this system."""
    return sys.platform != "win32" and hasattr(socket, "send_fds")


def _packed(message: Payload) -> bytes:
    data = json.dumps(message).encode()
    return _LENGTH.pack(len(data)) + data


def _read(head: bytes, read: Any) -> Payload:
    if len(head) != _LENGTH.size:
        raise ChannelClosed("the other side has gone")
    (size,) = _LENGTH.unpack(head)
    if size > MOST_BYTES:
        raise ChannelClosed(f"a message of {size} bytes is not valid")
    try:
        message = json.loads(read(size))
    except (ValueError, RecursionError) as error:
        raise ChannelClosed("what came is no message") from error
    if not isinstance(message, dict):
        raise ChannelClosed("what came is no message")
    return message
