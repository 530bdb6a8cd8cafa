"""H.264 and AAC in MP4, VP9 and Opus in WebM, interleaved; the same input gives the same bytes."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import numpy as np
from av import AudioFrame, VideoFrame
from av.container import OutputContainer
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from numpy.typing import NDArray

from fantasyportrait.media.output_file import OutputFile
from fantasyportrait.media.sound import SAMPLE_RATE, Block
from fantasyportrait.schema.timeline import round_half_up

_THREADS = 2  # fixed, since the encoders' output depends on it
_X264 = {"preset": "veryfast", "crf": "18"}
_VP9 = {"deadline": "realtime", "cpu-used": "6", "crf": "24", "b": "0", "row-mt": "1", "tile-columns": "1"}
# The encoder refuses alternate reference frames beside alpha.
_VP9_ALPHA = _VP9 | {"auto-alt-ref": "0"}
_PLAIN_KEYS = {"title", "artist", "album", "comment", "description", "copyright", "date", "genre"}


class VideoSink:
    """H.264 and AAC in MP4, or VP9 and Opus in WebM; sound is drawn from its iterator as the pictures advance.

    `kind` is mp4, webm, or webm-alpha for RGBA frames, whose alpha is a second VP9 picture beside each.
    """

    def __init__(
        self,
        path: Path,
        kind: str,
        size: tuple[int, int],
        rate: Fraction,
        sound: Iterator[Block] | None,
        metadata: dict[str, str],
    ) -> None:
        is_mp4, has_alpha = kind == "mp4", kind == "webm-alpha"
        flags = "+faststart" if metadata.keys() <= _PLAIN_KEYS else "+faststart+use_metadata_tags"
        options = {"fflags": "+bitexact"} | ({"movflags": flags} if is_mp4 else {})
        self._rate = rate
        self._frames = 0
        self._file = OutputFile(path)
        self._container: OutputContainer = av.open(
            self._file, "w", format="mp4" if is_mp4 else "webm", container_options=options
        )
        self._container.metadata.update(metadata)
        coding = _X264 if is_mp4 else _VP9_ALPHA if has_alpha else _VP9
        video = self._container.add_stream("libx264" if is_mp4 else "libvpx-vp9", rate, dict(coding))
        video.width, video.height = size
        self._pixel_formats = ("rgba", "yuva420p") if has_alpha else ("rgb24", "yuv420p")
        video.pix_fmt = self._pixel_formats[1]
        context = video.codec_context
        context.thread_count = _THREADS
        context.color_range, context.colorspace = ColorRange.MPEG, Colorspace.ITU709
        context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
        self._video = video
        self._sound = None if sound is None else _SoundTrack(self._container, "aac" if is_mp4 else "libopus", sound)

    def write(self, frame: NDArray[np.uint8]) -> None:
        """Encode one frame, and the sound up to its end."""
        given, coded = self._pixel_formats
        picture = VideoFrame.from_ndarray(frame, given).reformat(
            format=coded, dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
        )
        picture.pts, picture.time_base = self._frames, 1 / self._rate
        self._container.mux(self._video.encode(picture))
        self._frames += 1
        if self._sound:
            self._sound.advance(self._frames / self._rate)

    def finish(self) -> None:
        """Flush the encoders and write the index."""
        self._container.mux(self._video.encode(None))
        if self._sound:
            self._sound.finish()
        self._container.close()

    def close(self) -> None:
        """Close the file and the sound."""
        if self._sound:
            self._sound.close()
        self._file.close()
        self._container.close()


class _SoundTrack:
    def __init__(self, container: OutputContainer, codec: Literal["aac", "libopus"], blocks: Iterator[Block]) -> None:
        self._container = container
        self._blocks = blocks
        self._stream = container.add_stream(codec, SAMPLE_RATE, {"b": "192k"}, layout="stereo")
        self._stream.codec_context.thread_count = 1
        self._given = 0
        self._rest: Block = np.zeros((0, 2), np.float32)

    def advance(self, until_s: Fraction) -> None:
        """Encode samples up to `until_s`; never more, so that the sound ends with the last frame."""
        wanted = round_half_up(until_s * SAMPLE_RATE)
        while self._given < wanted:
            if not len(self._rest):
                block = next(self._blocks, None)
                if block is None:
                    return
                self._rest = np.ascontiguousarray(block, np.float32)
            part, self._rest = np.split(self._rest, [wanted - self._given])
            if len(part):
                frame = AudioFrame.from_ndarray(part.reshape(1, -1), "flt", "stereo")
                frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, self._given, Fraction(1, SAMPLE_RATE)
                self._container.mux(self._stream.encode(frame))
                self._given += len(part)

    def finish(self) -> None:
        self._container.mux(self._stream.encode(None))

    def close(self) -> None:
        close = getattr(self._blocks, "close", None)
        if close is not None:
            close()
