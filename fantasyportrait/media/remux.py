"""Remuxing: the packets of a recording in a new container, which states its duration and can be searched."""

import io
from collections.abc import Generator
from pathlib import Path
from typing import Any, Literal

import av
from av.container import InputContainer

from fantasyportrait.core.errors import MediaError
from fantasyportrait.core.limits import PRIVATE, Limits
from fantasyportrait.media.containers import open_media, packets, require_video, sound_stream

Container = Literal["webm", "mp4"]

MAX_RECORDING_BYTES = 256 << 20
"""The largest recording that is remuxed: it is held in memory."""
_PIECE_BYTES = 4 << 20
# FFmpeg's names of the decoders of what a WebM file may hold; other codecs go into an MP4 file.
_WEBM_CODECS = {"vp8", "libvpx", "vp9", "libvpx-vp9", "av1", "libdav1d", "opus", "libopus", "vorbis"}


def remux(path: Path, limits: Limits = PRIVATE) -> Generator[tuple[Container, bytes], None, None]:
    """Yield the video and sound of a recording in a new container: its kind with each piece of its bytes.

    Packets are copied with their times: nothing is encoded again, and a variable frame rate stays. What follows damage
    is left out. Raises `MediaError` where the file cannot be read, holds no picture, or is too large.
    """
    output = io.BytesIO()
    try:
        kind = _remux(path, output, limits)
    except MediaError as error:
        if error.__cause__ is None:
            raise
        raise MediaError("{path} is damaged, or is no recording: record it again", path=path) from error
    with output.getbuffer() as data:
        for begin in range(0, len(data), _PIECE_BYTES):
            yield kind, bytes(data[begin : begin + _PIECE_BYTES])


def _remux(path: Path, output: io.BytesIO, limits: Limits) -> Container:
    """Write the new container to `output`; returns its kind."""
    with open_media(path, limits) as container:
        if container.size > MAX_RECORDING_BYTES:
            raise MediaError(
                "{path} is {size} MiB, and a recording may have {max_recording_bytes} MiB: record a shorter one",
                path=path,
                size=container.size >> 20,
                max_recording_bytes=MAX_RECORDING_BYTES >> 20,
            )
        streams = [require_video(container, path, limits), sound_stream(container)]
        kept: list[Any] = [stream for stream in streams if stream is not None]
        names = {stream.codec_context.codec.name for stream in kept}
        kind: Container = "webm" if names <= _WEBM_CODECS else "mp4"
        if not _copy(container, kept, output, kind):
            raise MediaError("{path} holds no picture: record it again", path=path)
        return kind


def _copy(container: InputContainer, streams: list[Any], output: io.BytesIO, kind: Container) -> int:
    """Copy the packets of these streams, the first of which is the video; returns how many of its packets there are."""
    copied = {stream.index: 0 for stream in streams}
    last: dict[int, int] = {}
    with av.open(output, "w", format=kind) as target:
        targets = {stream.index: target.add_stream_from_template(stream) for stream in streams}
        for packet in packets(container, streams, []):
            if packet is None or packet.dts is None:
                continue
            index = packet.stream.index
            if packet.dts <= last.get(index, packet.dts - 1):  # a muxer takes times in order only
                continue
            last[index] = packet.dts
            copied[index] += 1
            packet.stream = targets[index]
            target.mux(packet)
    return copied[streams[0].index]
