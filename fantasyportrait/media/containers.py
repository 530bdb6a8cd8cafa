"""One guarded door to every media file: opened as a local file object, known formats only, no playlist followed."""

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.stream import VideoStream

from fantasyportrait.core.errors import MediaError
from fantasyportrait.media.inputs import check_file

MAX_FRAME_PIXELS = 40_000_000
_VIDEO = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,av1,obu,ivf,flv,asf,ogg,gif,apng"
)
_MORE_VIDEO = "mxf,nut,rm,dv,mjpeg,yuv4mpegpipe,wtv"
_SOUND = "wav,w64,mp3,aac,flac,aiff,caf,ac3,eac3,amr,wv,tta,ape,au"
_OPTIONS = {
    "format_whitelist": f"{_VIDEO},{_MORE_VIDEO},{_SOUND}",
    "max_pixels": str(MAX_FRAME_PIXELS),
}


@contextmanager
def open_media(path: Path) -> Iterator[InputContainer]:
    """Open `path` for reading and close it afterwards. Raises MediaError where it is missing, empty or no media."""
    check_file(path, "clip or sound")
    try:
        file = path.open("rb")
    except OSError as error:
        raise MediaError(f"cannot open {path}: {error.strerror or error}; check the path") from error
    with file:
        if not file.seek(0, 2):
            raise MediaError(f"{path} is empty: it holds no video or sound")
        file.seek(0)
        try:
            container = av.open(file, "r", options=_OPTIONS, metadata_errors="replace", io_open=_refuse)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise MediaError(
                f"{path} is not a video or sound that can be read (damaged, cut off, or another kind of file): "
                "convert it to MP4"
            ) from error
        with container:
            yield container


def _refuse(url: str, _flags: int, _options: dict[str, str]) -> Any:
    raise PermissionError(f"a media file may not open another one ({url})")


def video_stream(container: InputContainer) -> VideoStream | None:
    """The first stream of moving pictures (cover art is none), set to decode on several threads."""
    for stream in container.streams.video:
        if stream.codec_context is not None and not stream.disposition & Disposition.attached_pic:
            stream.codec_context.options = {"max_pixels": str(MAX_FRAME_PIXELS)}
            stream.thread_type = "AUTO"
            return stream
    return None


def need_video(container: InputContainer, path: Path) -> VideoStream:
    """`video_stream`, or MediaError where there is none."""
    stream = video_stream(container)
    if stream is None:
        kind = "holds sound but no picture" if container.streams.audio else "holds no picture that can be decoded"
        raise MediaError(f"{path} {kind}: give a video clip")
    return stream


def decode(container: InputContainer, stream: VideoStream | AudioStream, damage: list[str]) -> Iterator[Any]:
    """Frames of `stream` from where the container stands. What is broken is left out and told in `damage`, once."""
    for packet in packets(container, stream, damage):
        try:
            frames = stream.decode(packet)
        except av.error.FFmpegError:
            _tell(damage, container)
            continue
        yield from frames


def packets(
    container: InputContainer, stream: VideoStream | AudioStream, damage: list[str]
) -> Iterator["Packet[Any] | None"]:
    """Packets up to the end, or to where the file itself is broken; then None, which empties the decoder."""
    try:
        yield from (packet for packet in container.demux(stream) if packet.size)
    except (av.error.FFmpegError, OSError):
        _tell(damage, container)
    yield None


def packet_end(packet: "Packet[Any]", stream: VideoStream | AudioStream) -> Fraction | None:
    """Where the packet's time ends in the container's seconds, None where it carries no stamp."""
    base = packet.time_base or stream.time_base
    return None if packet.pts is None or base is None else (packet.pts + (packet.duration or 0)) * base


def _tell(damage: list[str], container: InputContainer) -> None:
    sentence = f"{container.name} is damaged or cut off: what cannot be decoded was left out"
    if sentence not in damage:
        damage.append(sentence)


def stamp_of(frame: Any, stream: VideoStream | AudioStream) -> Fraction | None:
    """Time stamp of `frame` in seconds as the container counts, None where it carries none."""
    base = frame.time_base or stream.time_base
    return None if frame.pts is None or base is None else frame.pts * base


def zero_of(container: InputContainer, stream: VideoStream | AudioStream) -> Fraction | None:
    """Time stamp of the stream's first frame, a clip's zero; None where frames carry no stamps. Moves the container."""
    frame = next(decode(container, stream, []), None)
    return None if frame is None else stamp_of(frame, stream)


def clip_zero(path: Path) -> Fraction:
    """Where a clip's time begins, in the container's seconds: its first picture, or its first sound without one."""
    with open_media(path) as container:
        stream = video_stream(container) or next((s for s in container.streams.audio if s.codec_context), None)
        zero = None if stream is None else zero_of(container, stream)
        return zero or Fraction(0)
