"""A finished video in another format: WebM with its sound, a small GIF, or PNG pictures in a ZIP file."""

import itertools
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import closing
from fractions import Fraction
from pathlib import Path

from fantasyportrait.core.atomic_write import atomic_write, output_errors
from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.disk_space import check_disk_space, estimate_result_bytes
from fantasyportrait.core.errors import RequestError
from fantasyportrait.images.images import even_size
from fantasyportrait.media.decoder import Decoder
from fantasyportrait.media.writer import VideoWriter

WEBM, GIF, FRAMES = ".webm", ".gif", ".zip"
GIF_SIDE = 480
"""Longest side of a GIF in pixels: a larger one has many times the bytes of the video."""
STILL_RATE = Fraction(25)


def convert_video(
    decoder: Decoder,
    video: Path,
    output: Path,
    *,
    cancel: CancelToken | None = None,
    on_frame: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Write `video` to `output`, which ends in .webm, .gif, or .zip for PNG pictures; its texts are kept where it can.

    `on_frame` gets the number of frames that are written, and about how many there are. Raises a
    `FantasyPortraitError`; then nothing was written.
    """
    kind = output.suffix.lower()
    if kind not in (WEBM, GIF, FRAMES):
        raise RequestError(
            "the output {output} ends in {suffix!r}: end it in .webm, .gif or .zip", output=output, suffix=output.suffix
        )
    if kind != FRAMES:
        _write(decoder, video, output, cancel or CancelToken(), on_frame)
        return
    with output_errors(output), tempfile.TemporaryDirectory(prefix=".frames-", dir=output.parent) as folder:
        frames = Path(folder) / "frames"
        _write(decoder, video, frames, cancel or CancelToken(), on_frame)
        with atomic_write(output) as made, zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
            for picture in sorted(frames.iterdir()):
                archive.write(picture, picture.name)


def _write(
    decoder: Decoder, video: Path, output: Path, cancel: CancelToken, on_frame: Callable[[int, int], None]
) -> None:
    info = decoder.probe(video)
    found = decoder.native_rate(video)
    rate = found[0] if found else STILL_RATE
    side = max(info.width, info.height)
    size = even_size(info.width, info.height, min(side, GIF_SIDE) if output.suffix == GIF else side)
    total = max(1, round(info.duration_s * rate))
    check_disk_space(
        output.parent, estimate_result_bytes(output.suffix, size, total, info.duration_s, False), output.name
    )
    sound = decoder.sound(video) if info.has_sound and output.suffix == WEBM else None
    with closing(decoder.frames(video, rate, max_side=max(size))) as frames:
        # The size of the first frame: a decoder rounds as it reduces.
        _, first = next(frames)
        height, width = first.shape[:2]
        width, height = width - width % 2, height - height % 2
        with VideoWriter(output, (width, height), rate, sound, decoder.metadata(video)) as writer:
            for number, pixels in enumerate(itertools.chain([first], (each for _, each in frames)), 1):
                cancel.check()
                writer.write(pixels[:height, :width])
                on_frame(min(number, total), total)
