"""Seeds of the fuzzer: valid files of every kind that is read."""

import io
import struct
import tempfile
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from tests.factories_media import ClipSpec, make_clip, make_sound, tone

SIZE = (64, 48)
PHOTO, CLIP, SOUND = "photo", "clip", "sound"
Seed = tuple[str, str, bytes]
"""Kind, suffix and content."""


def seeds(address: str) -> list[Seed]:
    """Every seed. `address` is a server that must get no request: some of the files name it."""
    made = [*_photos(), *_clips(), *_sounds(), *_links(address)]
    if len(made) < 35:
        raise RuntimeError(f"only {len(made)} seeds could be made")
    return made


def picture(number: int = 0, size: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
    """Ramps and noise, another one for each number."""
    width, height = size
    rows, columns = np.mgrid[:height, :width]
    noise = np.random.default_rng(number).integers(0, 40, (height, width))
    return np.stack([rows * 4 + noise, columns * 3 + 9 * number, noise * 5], axis=-1).astype(np.uint8)


def _photos() -> Iterator[Seed]:
    image, more = Image.fromarray(picture()), [Image.fromarray(picture(n)) for n in range(1, 5)]
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "a description" * 20
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    tagged: dict[str, Any] = {"exif": exif, "icc_profile": profile}
    frames: dict[str, Any] = {"save_all": True, "append_images": more, "duration": 40}
    deep = Image.fromarray(np.arange(48 * 64, dtype=np.uint16).reshape(48, 64) * 20)
    table: list[tuple[str, Image.Image, dict[str, Any]]] = [
        ("png", image, tagged),
        ("png", image.convert("RGBA"), {}),
        ("png", image.quantize(16), {"transparency": 3}),
        ("png", deep, {}),
        ("png", image, frames),
        ("jpg", image, {**tagged, "quality": 90}),
        ("jpg", image, {"progressive": True, "subsampling": 0}),
        ("jpg", image.convert("CMYK"), {}),
        ("jpg", image.convert("L"), {"restart_marker_blocks": 2}),
        ("webp", image, tagged),
        ("webp", image.convert("RGBA"), {"lossless": True}),
        ("webp", image, frames),
        ("avif", image, tagged),
        ("avif", image.convert("RGBA"), {"subsampling": "4:4:4"}),
        ("avif", image, frames),
        ("gif", image, {}),
        ("gif", image, {**frames, "comment": b"made for tests" * 30}),
    ]
    for suffix, picture_, options in table:
        buffer = io.BytesIO()
        picture_.save(buffer, {"jpg": "JPEG"}.get(suffix, suffix.upper()), **options)
        yield PHOTO, suffix, buffer.getvalue()


def _clips() -> Iterator[Seed]:
    fast = (("preset", "ultrafast"), ("g", "4"))
    sound = tone(0.3)
    table = [
        ("mp4", ClipSpec("libx264", options=fast, sound=sound)),
        ("mp4", ClipSpec("libx264", options=fast, rotation=(90, False, False))),
        ("mp4", ClipSpec("libx265", "yuv420p10le", options=(("preset", "ultrafast"), ("x265-params", "log-level=0")))),
        ("mov", ClipSpec("prores_ks", "yuv422p10le", options=(), sound=sound, sound_codec="pcm_s16le")),
        ("mov", ClipSpec("png", "rgba", options=())),
        ("mkv", ClipSpec("libx264", options=fast, sound=sound, sound_codec="flac")),
        ("mkv", ClipSpec("mjpeg", "yuvj420p", stamps=[0, 40, 130, 170, 300, 340, 380, 500], options=())),
        ("webm", ClipSpec("libvpx-vp9", options=(("deadline", "realtime"),), sound=sound, sound_codec="libopus")),
        ("webm", ClipSpec("libvpx", options=(("deadline", "realtime"),), sound=sound, sound_codec="libopus")),
        # Not libsvtav1: where root runs it, it gives the process a real-time priority that starves the machine.
        ("webm", ClipSpec("libaom-av1", options=(("cpu-used", "8"), ("usage", "realtime")))),
        ("avi", ClipSpec("mpeg4", options=(), sound=sound, sound_codec="libmp3lame")),
        ("ts", ClipSpec("libx264", options=fast, sound=sound)),
        ("mpg", ClipSpec("mpeg2video", options=())),
        ("flv", ClipSpec("libx264", options=fast, sound=sound)),
        ("nut", ClipSpec("libx264", options=fast)),
        ("ivf", ClipSpec("libvpx-vp9", options=(("deadline", "realtime"),))),
        ("y4m", ClipSpec("wrapped_avframe", options=())),
        ("gif", ClipSpec("gif", "rgb8", Fraction(10), options=())),
        ("apng", ClipSpec("apng", "rgb24", options=())),
        ("wmv", ClipSpec("wmv2", options=())),
    ]
    yield from ((CLIP, suffix, content) for _, suffix, content in _photos())  # pictures drive too
    frames = [picture(number) for number in range(8)]
    yield from _encoded(CLIP, ((suffix, lambda path, s=spec: make_clip(path, frames, s)) for suffix, spec in table))


def _sounds() -> Iterator[Seed]:
    samples = tone(0.4)
    table = [("wav", "pcm_s16le"), ("mp3", "libmp3lame"), ("opus", "libopus"),
             ("flac", "flac"), ("m4a", "aac"), ("aiff", "pcm_s16be"), ("aac", "aac")]  # fmt: skip
    yield from _encoded(
        SOUND, ((suffix, lambda path, c=codec: make_sound(path, samples, c)) for suffix, codec in table)
    )


def _encoded(kind: str, makers: Iterator[tuple[str, Callable[[Path], Path]]]) -> Iterator[Seed]:
    with tempfile.TemporaryDirectory() as folder:
        for number, (suffix, make) in enumerate(makers):
            try:
                path = make(Path(folder) / f"{number}.{suffix}")
            except (av.error.FFmpegError, ValueError):  # an encoder that this build of FFmpeg lacks
                continue
            yield kind, suffix, path.read_bytes()


def _links(address: str) -> Iterator[Seed]:
    """Files that refer to others: playlists, lists of parts, movies whose data is at an address."""
    lists = {
        "m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{address}/a.ts\n#EXT-X-ENDLIST\n",
        "mpd": f'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><BaseURL>{address}/'
        '</BaseURL><Period><AdaptationSet><Representation id="1" bandwidth="1"/></AdaptationSet></Period></MPD>',
        "ffconcat": f"ffconcat version 1.0\nfile '{address}/a.mp4'\n",
        "sdp": f"v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video {address.rsplit(':', 1)[1]} RTP/AVP 96\n",
        "svg": f'<svg xmlns="http://www.w3.org/2000/svg"><image href="{address}/a.png" width="9" height="9"/></svg>',
        "pls": f"[playlist]\nFile1={address}/a.mp3\n",
        "asx": f'<asx version="3.0"><entry><ref href="{address}/a.wmv"/></entry></asx>',
    }
    for suffix, text in lists.items():
        yield (PHOTO if suffix == "svg" else CLIP), suffix, text.encode()
        yield CLIP, "mp4", text.encode()
    ((_, _, movie),) = _encoded(
        CLIP, iter([("mov", lambda path: make_clip(path, [picture()] * 4, ClipSpec("mjpeg", "yuvj420p", options=())))])
    )
    yield CLIP, "mov", _elsewhere(movie, address)


def _elsewhere(movie: bytes, address: str) -> bytes:
    """The movie with data references that name an address in place of the file itself."""
    place = movie.index(b"dref") - 4
    (size,) = struct.unpack_from(">I", movie, place)
    target = address.encode() + b"/movie.mov\0"
    entry = struct.pack(">I4sI", 12 + len(target), b"url ", 0) + target
    dref = struct.pack(">I4sII", 16 + len(entry), b"dref", 0, 1) + entry
    grown = len(dref) - size
    out = bytearray(movie[:place] + dref + movie[place + size :])
    for box in (b"moov", b"trak", b"mdia", b"minf", b"dinf"):
        at = movie.rindex(box, 0, place) - 4
        struct.pack_into(">I", out, at, struct.unpack_from(">I", movie, at)[0] + grown)
    return bytes(out)
