"""Silent sinks: a GIF with one palette, a folder of PNG pictures."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av import VideoFrame
from av.container import OutputContainer
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from fantasyportrait.media.filter_graph import FilterGraph, filter_chain, two_input_graph
from fantasyportrait.media.output_file import OutputFile
from fantasyportrait.schema.timeline import round_half_up

_PALETTE_BYTES = 48 * 1024 * 1024
_MAX_GIF_RATE = 50  # browsers slow anything faster down to 10


class GifSink:
    """A looping GIF with one palette, made from the first frames (at most 48 MiB of them are buffered)."""

    def __init__(self, path: Path, size: tuple[int, int], rate: Fraction) -> None:
        self._every = -(-rate // _MAX_GIF_RATE)
        self._rate = rate
        self._frames = 0
        self._pending: list[VideoFrame] = []
        self._palette_frames = max(1, _PALETTE_BYTES // (size[0] * size[1] * 3))
        self._palette_filter: FilterGraph | None = None
        self._file = OutputFile(path)
        self._container: OutputContainer = av.open(
            self._file, "w", format="gif", container_options={"fflags": "+bitexact"}
        )
        self._stream = self._container.add_stream("gif", rate)
        self._stream.width, self._stream.height = size
        self._stream.pix_fmt = "pal8"
        self._stream.codec_context.time_base = Fraction(1, 100)

    def write(self, frame: NDArray[np.uint8]) -> None:
        """Add one frame (above 50 frames a second only every second one or fewer)."""
        if self._frames % self._every == 0:
            picture = VideoFrame.from_ndarray(frame, "rgb24")
            picture.pts, picture.time_base = round_half_up(100 * self._frames / self._rate), Fraction(1, 100)
            self._pending.append(picture)
        self._frames += 1
        if self._palette_filter is not None or len(self._pending) >= self._palette_frames:
            self._paint()

    def finish(self) -> None:
        """Encode the buffered frames and complete the file."""
        self._paint()
        self._container.mux(self._stream.encode(None))
        self._container.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        self._container.close()

    def _paint(self) -> None:
        if self._palette_filter is None:
            self._palette_filter = _palette_filter(self._pending)
        for picture in self._pending:
            self._container.mux(self._stream.encode(self._palette_filter.map(picture)))
        self._pending.clear()


def _palette_filter(pictures: list[VideoFrame]) -> FilterGraph:
    """Make a filter to one palette, the best for `pictures`; ordered dither does not flicker in still parts."""
    chooser = filter_chain(pictures[0], ("palettegen", ""))
    for picture in pictures:
        chooser.source.push(picture)
    (palette,) = chooser.drain(None)
    return two_input_graph(pictures[0], palette, ("paletteuse", "dither=bayer:bayer_scale=3:diff_mode=rectangle"))


class FolderSink:
    """A folder of PNG pictures, frame_000001.png and on."""

    def __init__(self, path: Path, metadata: dict[str, str]) -> None:
        path.mkdir()
        self._path = path
        self._frames = 0
        self._info = PngInfo()
        for key, value in metadata.items():
            self._info.add_itxt(key, value)

    def write(self, frame: NDArray[np.uint8]) -> None:
        """Write the next picture."""
        self._frames += 1
        Image.fromarray(frame).save(self._path / f"frame_{self._frames:06d}.png", compress_level=3, pnginfo=self._info)

    def finish(self) -> None:
        """Do nothing: every picture is written at once."""

    def close(self) -> None:
        """Do nothing: no file stays open."""
