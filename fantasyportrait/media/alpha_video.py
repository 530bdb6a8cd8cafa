"""Frames of a WebM with alpha that this program wrote."""

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from av.codec.context import CodecContext
from av.video.codeccontext import VideoCodecContext
from numpy.typing import NDArray

# FFmpeg's own decoder of VP9, which reads clips, drops the alpha.
_DECODER = "libvpx-vp9"


def read_rgba(path: Path) -> Iterator[NDArray[np.uint8]]:
    """The frames of a VP9 video with alpha, uint8 RGBA (H, W, 4) with straight alpha."""
    with av.open(str(path)) as container:
        decoder = CodecContext.create(_DECODER, "r")
        if not isinstance(decoder, VideoCodecContext):
            raise TypeError(f"{_DECODER} is no video decoder")
        for packet in container.demux(container.streams.video[0]):
            for frame in decoder.decode(packet):
                yield np.asarray(frame.to_ndarray(format="rgba"), np.uint8)
