"""Photos in, pictures out. Everything becomes upright sRGB on white, and nothing large is decoded unlooked."""

import hashlib
import io
import math
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from fantasyportrait.core.errors import MediaError, OutputError
from fantasyportrait.core.optional import require
from fantasyportrait.media.inputs import check_file, is_video_file
from fantasyportrait.media.partial import partial_path, writing

Pixels = NDArray[np.uint8]

MAX_PIXELS = 40_000_000
MAX_ANIMATION_FRAMES = 10_000
MAX_FILE_BYTES = 256 * 1024 * 1024
_FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "GIF")
_ANIMATED = ("PNG", "WEBP", "AVIF", "GIF")
_NO_DURATION_S, _LONGEST_FRAME_S = Fraction(1, 10), Fraction(60)
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, KeyError, IndexError, TypeError, struct.error, OverflowError)


@dataclass(frozen=True)
class Photo:
    """A decoded photo: `pixels` uint8 (H, W, 3) upright sRGB; `notes` say what was changed; `sha256` of the file."""

    pixels: Pixels
    notes: tuple[str, ...]
    sha256: str


def load_photo(path: Path) -> Photo:
    """Read a PNG, JPEG, WebP, AVIF or GIF (HEIC with the extra `heic`).

    Raises MediaError when the file is missing, broken, of another kind or over 40 million pixels, and
    DependencyError for HEIC without its package.
    """
    data = _read_bytes(path)
    formats = list(_FORMATS)
    if _is_heic(path, data):
        require("pillow_heif", extra="heic", purpose=f"reading {path.name}").register_heif_opener()
        formats.append("HEIF")
    notes: list[str] = []
    with _told(path), Image.open(io.BytesIO(data), formats=formats) as image:
        _check_size(path, image)
        if image.format in _ANIMATED and getattr(image, "n_frames", 1) > 1:
            notes.append(f"{path.name} is an animation: its first picture is used")
        return Photo(_decoded(image, notes), tuple(notes), hashlib.sha256(data).hexdigest())


def is_animated(path: Path) -> bool:
    """Whether the file is a GIF, PNG, WebP or AVIF of several frames; raises MediaError where it cannot be read."""
    with _told(path), Image.open(io.BytesIO(_read_bytes(path)), formats=_FORMATS) as image:
        return image.format in _ANIMATED and bool(getattr(image, "is_animated", False))


def animation_frames(path: Path, damage: list[str]) -> Iterator[tuple[Pixels, Fraction]]:
    """Each frame of an animation, uint8 (H, W, 3) upright sRGB on white, and how many seconds it shows.

    A frame without a duration shows for 0.1 s, as in browsers. Where a later frame is damaged the animation ends, and
    `damage` says so. Raises MediaError where not even the first frame can be read.
    """
    data = _read_bytes(path)
    with _told(path), Image.open(io.BytesIO(data), formats=_FORMATS) as image:
        _check_size(path, image)
        # A PNG may begin with a picture that only programs without animation show.
        frames = range(1 if getattr(image, "default_image", False) else 0, getattr(image, "n_frames", 1))
        if len(frames) > MAX_ANIMATION_FRAMES:
            raise MediaError(f"{path} has {len(frames)} frames: at most {MAX_ANIMATION_FRAMES} are read; cut it")
    with _told(path):
        image = Image.open(io.BytesIO(data), formats=_FORMATS)
    with image:
        for index in frames:
            try:
                with _told(path):
                    image.seek(index)
                    pixels = _decoded(image, [])
            except MediaError:
                if index == frames.start:
                    raise
                damage.append(f"{path} is damaged or cut off: what cannot be decoded was left out")
                return
            yield pixels, _duration_s(image)


def _decoded(image: Image.Image, notes: list[str]) -> Pixels:
    """The open picture, or the frame that it stands at, as upright sRGB on white."""
    image.load()
    upright = ImageOps.exif_transpose(image)
    return np.array(_on_white(_to_srgb(_eight_bits(upright, notes), image.info.get("icc_profile"), notes), notes))


def _duration_s(image: Image.Image) -> Fraction:
    shown_ms = image.info.get("duration") or 0
    if not 0 < shown_ms < math.inf:
        return _NO_DURATION_S
    return min(Fraction(shown_ms) / 1000, _LONGEST_FRAME_S)


def save_image(path: Path, pixels: Pixels) -> None:
    """Write uint8 (H, W, 3) in the format of the suffix (.png, .jpg, .webp); whole or not at all."""
    kind = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}.get(path.suffix.lower())
    if kind is None:
        raise OutputError(f"cannot write {path}: a picture must end in .png, .jpg or .webp")
    with partial_path(path) as partial, writing(path):
        Image.fromarray(pixels).save(partial, kind, **({} if kind == "PNG" else {"quality": 95}))


def even_size(width: int, height: int, cap: int) -> tuple[int, int]:
    """(width, height) as it is where both are even and at most `cap`; else scaled to the cap and made even."""
    if min(width, height) < 1 or cap < 2:
        raise MediaError(f"a picture of {width} x {height} cannot be made even under a cap of {cap}")
    scale = min(1.0, cap / max(width, height))

    def even(side: int) -> int:
        return min(max(2, 2 * int(side * scale / 2 + 0.499)), cap // 2 * 2)

    return even(width), even(height)


def multiple_size(width: int, height: int, longest: int, multiple: int) -> tuple[int, int]:
    """(width, height) scaled so that the longest side is `longest`, each side rounded up to a multiple."""
    scale = longest / max(width, height)
    across, down = (max(1, math.ceil(round(side * scale, 6) / multiple)) * multiple for side in (width, height))
    return across, down


def resize(pixels: Pixels, size: tuple[int, int], *, fast: bool = False) -> Pixels:
    """uint8 (H, W, 3) scaled to `size` (width, height), antialiased; the same array where nothing changes.

    `fast` is a third of the work and a little softer: for frames that are only looked at.
    """
    if (pixels.shape[1], pixels.shape[0]) == size:
        return pixels
    kernel = Image.Resampling.BILINEAR if fast else Image.Resampling.LANCZOS
    return np.asarray(Image.fromarray(pixels).resize(size, kernel))


def _read_bytes(path: Path) -> bytes:
    check_file(path, "photo")
    try:
        if path.is_file() and path.stat().st_size > MAX_FILE_BYTES:
            raise MediaError(f"{path} is too large to be a photo: at most {MAX_FILE_BYTES >> 20} MiB are read")
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise MediaError(f"there is no photo at {path}: check the path") from error
    except OSError as error:
        raise MediaError(f"cannot read {path}: {error.strerror or error}") from error
    if not data:
        raise MediaError(f"{path} is empty: it holds no picture")
    return data


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn what Pillow raises for hostile and broken files into one MediaError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            yield
    except Image.DecompressionBombError as error:
        raise MediaError(
            f"{path} is too large to be read safely: at most {MAX_PIXELS / 1e6:.0f} million pixels; scale it down"
        ) from error
    except UnidentifiedImageError as error:
        if is_video_file(path):
            raise MediaError(
                f"{path} is a video, not a photo: give a picture, for example one of its frames"
            ) from error
        raise MediaError(f"{path} is not a picture that can be read: use PNG, JPEG, WebP, AVIF or GIF") from error
    except _BROKEN as error:
        raise MediaError(f"{path} is damaged or cut off and cannot be read: save it again ({error})") from error


def _is_heic(path: Path, data: bytes) -> bool:
    brands = data[8:64] if data[4:8] == b"ftyp" else b""
    if b"avi" in brands or data.startswith((b"\xff\xd8", b"\x89PNG")):  # also where the name says .heic
        return False
    return any(brand in brands for brand in (b"heic", b"heix", b"mif1")) or path.suffix.lower() in (".heic", ".heif")


def _check_size(path: Path, image: Image.Image) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise MediaError(
            f"{path} is {width} x {height}, too large to be read safely: "
            f"at most {MAX_PIXELS / 1e6:.0f} million pixels; scale it down"
        )


def _eight_bits(image: Image.Image, notes: list[str]) -> Image.Image:
    if not image.mode.startswith("I"):
        return image
    grey = np.asarray(image, dtype=np.int64)
    if grey.max(initial=0) > 255 or image.mode != "I":
        grey = (grey.clip(0, 65535) + 128) // 257
        notes.append("16-bit grey was scaled to 8 bits")
    return Image.fromarray(grey.astype(np.uint8))


def _to_srgb(image: Image.Image, profile: bytes | None, notes: list[str]) -> Image.Image:
    """RGB or RGBA in sRGB; `profile` is the file's ICC profile."""
    alpha = None
    if image.has_transparency_data:
        is_grey = image.mode == "LA"
        rgba = image.convert("RGBA")
        alpha = rgba.getchannel("A")
        image = rgba.convert("L" if is_grey else "RGB")  # grey stays one channel: so its profile fits
    elif image.mode in ("P", "1", "RGBX"):
        image = image.convert("RGB")
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
            image = converted or image
        except (ImageCms.PyCMSError, OSError) as error:
            notes.append(f"its colour profile cannot be used and was left out ({error})")
    image = image.convert("RGB")
    if alpha is not None:
        image.putalpha(alpha)
    return image


def _on_white(image: Image.Image, notes: list[str]) -> Image.Image:
    if image.mode != "RGBA":
        return image
    if image.getchannel("A").getextrema() != (255, 255):
        notes.append("transparent parts were laid on white")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")
