"""Open media files safely: as local file objects, with allowed formats and codecs only, no playlists."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av import VideoFormat
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.stream import VideoStream

from fantasyportrait.core.errors import MediaError
from fantasyportrait.core.limits import PRIVATE, Limits
from fantasyportrait.core.sentences import Sentence
from fantasyportrait.images.input_checks import check_file
from fantasyportrait.images.input_file import open_file
from fantasyportrait.images.size_checks import check_pixels

_VIDEO = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,av1,obu,ivf,flv,asf,ogg,gif,apng"
)
_MORE_VIDEO = "mxf,nut,rm,dv,mjpeg,yuv4mpegpipe,wtv"
_SOUND = "wav,w64,mp3,aac,flac,aiff,caf,ac3,eac3,amr,wv,tta,ape,au"
# FFmpeg's names of decoders, several for some codecs.
_CODECS = (
    *("h264", "hevc", "vp8", "libvpx", "vp9", "libvpx-vp9", "av1", "libdav1d", "mpeg4", "mpeg2video", "mjpeg"),
    *("prores", "gif", "png", "apng", "aac", "mp3", "mp3float", "opus", "libopus", "vorbis", "flac"),
)
_PCM = tuple(sorted(name for name in av.codecs_available if name.startswith("pcm_")))
ALLOWED_CODECS = frozenset((*_CODECS, *_PCM))
# A decoder holds reference frames, and one frame for each of its threads.
_HELD_FRAMES = 4
_MOST_THREADS = 8
# Before PyAV 19, text that is not UTF-8 in a file's metadata made the whole file unreadable unless asked otherwise.
_METADATA: dict[str, Any] = {} if int(av.__version__.split(".")[0]) >= 19 else {"metadata_errors": "replace"}


@contextmanager
def open_media(path: Path, limits: Limits = PRIVATE) -> Iterator[InputContainer]:
    """Open `path` for reading and close it afterwards.

    Raises MediaError where it is missing, empty, too large or no media, and in the place of everything that FFmpeg
    raises while the file is in use.
    """
    check_file(path, "clip or sound")
    with open_file(path) as file:
        _check_bytes(path, file.seek(0, 2), limits)
        file.seek(0)
        with _as_media_error(path):
            container = av.open(file, "r", options=_options(limits), io_open=_refuse, **_METADATA)
        with container, _as_media_error(path):
            yield container


def _check_bytes(path: Path, size: int, limits: Limits) -> None:
    if not size:
        raise MediaError("{path} is empty: it holds no video or sound", path=path)
    if limits.clip_file_bytes is not None and size > limits.clip_file_bytes:
        raise MediaError(
            "{path} is {size} MiB, and a clip or sound may have {most} MiB: cut it or make it smaller",
            path=path,
            size=size >> 20,
            most=limits.clip_file_bytes >> 20,
        )


def _options(limits: Limits) -> dict[str, str]:
    """For the demuxer, and for the decoders with which it looks at the streams."""
    return {"format_whitelist": f"{_VIDEO},{_MORE_VIDEO},{_SOUND}", **_codec_options(limits)}


def _codec_options(limits: Limits) -> dict[str, str]:
    return {"max_pixels": str(limits.pixels), "codec_whitelist": ",".join((*_CODECS, *_PCM))}


@contextmanager
def _as_media_error(path: Path) -> Iterator[None]:
    """Turn what PyAV raises for broken and hostile files into one MediaError."""
    try:
        yield
    except MemoryError as error:
        raise MediaError(
            "{path} asks for more memory than there is to be read: it is damaged or too large; convert it to MP4",
            path=path,
        ) from error
    except (av.error.FFmpegError, OSError, ValueError, LookupError, ArithmeticError) as error:
        raise MediaError(
            "{path} is not a video or sound that can be read (damaged, cut off, or another kind of file): "
            "convert it to MP4",
            path=path,
        ) from error


def _refuse(url: str, _flags: int, _options: dict[str, str]) -> Any:
    raise PermissionError(f"a media file may not open another one ({url})")


def video_stream(container: InputContainer, path: Path, limits: Limits = PRIVATE) -> VideoStream | None:
    """The first stream of moving pictures (cover art is none), set to decode on several threads.

    Raises MediaError for a codec that is not allowed, and for frames over the limits.
    """
    for stream in container.streams.video:
        if stream.codec_context is not None and not stream.disposition & Disposition.attached_pic:
            _check_codec(path, stream)
            frame_bytes = _check_frame(path, stream, limits)
            stream.codec_context.options = _codec_options(limits)
            stream.thread_type = "AUTO"
            stream.codec_context.thread_count = _threads(frame_bytes, limits)
            return stream
    return None


def sound_stream(container: InputContainer) -> AudioStream | None:
    """The first sound track of a codec that is allowed."""
    streams = (stream for stream in container.streams.audio if stream.codec_context is not None)
    return next((stream for stream in streams if stream.codec_context.codec.name in ALLOWED_CODECS), None)


def sound_message(container: InputContainer, path: Path) -> str | None:
    """Return a message where the file has sound in no codec that is allowed."""
    if not container.streams.audio or sound_stream(container) is not None:
        return None
    names = ", ".join(sorted({_codec_name(stream) for stream in container.streams.audio}))
    return Sentence("the sound of {path} is {codec}, which is not read: convert it to AAC", path=path.name, codec=names)


def require_video(container: InputContainer, path: Path, limits: Limits = PRIVATE) -> VideoStream:
    """`video_stream`, or MediaError where there is none."""
    stream = video_stream(container, path, limits)
    if stream is None:
        kind = "holds sound but no picture" if container.streams.audio else "holds no picture that can be decoded"
        raise MediaError("{path} {kind}: give a video clip", path=path, kind=kind)
    return stream


def _codec_name(stream: VideoStream | AudioStream) -> str:
    return "an unknown codec" if stream.codec_context is None else stream.codec_context.codec.name


def _check_codec(path: Path, stream: VideoStream) -> None:
    if _codec_name(stream) not in ALLOWED_CODECS:
        raise MediaError(
            "{path} is encoded as {codec}, which is not read: convert it to MP4 (H.264)",
            path=path,
            codec=_codec_name(stream),
        )


def _check_frame(path: Path, stream: VideoStream, limits: Limits) -> int:
    """Refuse frames over the limits by what the header says; return the bytes of one as it is decoded."""
    context = stream.codec_context
    check_pixels(path, (context.width, context.height), limits)
    if not context.pix_fmt:  # known from the first frame only
        return 4 * context.width * context.height
    shape = VideoFormat(context.pix_fmt, context.width, context.height)
    frame_bytes = context.width * context.height * shape.padded_bits_per_pixel // 8
    if frame_bytes * _HELD_FRAMES > limits.decoded_bytes:
        raise MediaError(
            "{path} has frames of {width} x {height} in {pix_fmt}, {frame_bytes} MiB "
            "each, and at most {decoded_bytes} MiB are decoded: scale it down, or "
            "convert it to MP4 (H.264, 8 bits)",
            path=path,
            width=context.width,
            height=context.height,
            pix_fmt=context.pix_fmt,
            frame_bytes=frame_bytes >> 20,
            decoded_bytes=limits.decoded_bytes // _HELD_FRAMES >> 20,
        )
    return frame_bytes


def _threads(frame_bytes: int, limits: Limits) -> int:
    """Return the number of decoder threads whose frames stay within the limit of decoded bytes."""
    spare = limits.decoded_bytes // max(1, frame_bytes) - _HELD_FRAMES
    return max(1, min(spare, os.cpu_count() or 1, _MOST_THREADS))


def decode(container: InputContainer, stream: VideoStream | AudioStream, damage: list[str]) -> Iterator[Any]:
    """Yield the frames of `stream` from the container's position. Broken ones are skipped; `damage` gets one message.

    Raises MemoryError where a frame needs more than there is.
    """
    for packet in packets(container, stream, damage):
        try:
            frames = stream.decode(packet)
        except av.error.MemoryError:  # not damage: with less in use these frames would be there
            raise
        except av.error.FFmpegError:
            _tell(damage, container)
            continue
        yield from frames


def packets(
    container: InputContainer, stream: VideoStream | AudioStream | list[VideoStream | AudioStream], damage: list[str]
) -> Iterator["Packet[Any] | None"]:
    """Packets of one stream, or of several as they come, up to the end, or to where the file itself is broken.

    Then None, which empties the decoder.
    """
    try:
        yield from (packet for packet in container.demux(stream) if packet.size)
    except (av.error.FFmpegError, OSError):
        _tell(damage, container)
    yield None


def packet_end(packet: "Packet[Any]", stream: VideoStream | AudioStream) -> Fraction | None:
    """End of the packet in the container's seconds, None without a time stamp."""
    base = packet.time_base or stream.time_base
    return None if packet.pts is None or base is None else (packet.pts + (packet.duration or 0)) * base


def _tell(damage: list[str], container: InputContainer) -> None:
    sentence = Sentence("{path} is damaged or cut off: what cannot be decoded was left out", path=container.name)
    if sentence not in damage:
        damage.append(sentence)


def timestamp_of(frame: Any, stream: VideoStream | AudioStream) -> Fraction | None:
    """Time stamp of `frame` in seconds as the container counts, None where it carries none."""
    base = frame.time_base or stream.time_base
    return None if frame.pts is None or base is None else frame.pts * base


def first_timestamp(container: InputContainer, stream: VideoStream | AudioStream) -> Fraction | None:
    """Time stamp of the stream's first frame, a clip's zero; None where frames carry no stamps. Moves the container."""
    frame = next(decode(container, stream, []), None)
    return None if frame is None else timestamp_of(frame, stream)


def clip_start(path: Path, limits: Limits = PRIVATE) -> Fraction:
    """Begin of the clip in the container's seconds: its first frame, or its first sound if it has no frames."""
    with open_media(path, limits) as container:
        stream = video_stream(container, path, limits) or sound_stream(container)
        zero = None if stream is None else first_timestamp(container, stream)
        return zero or Fraction(0)
