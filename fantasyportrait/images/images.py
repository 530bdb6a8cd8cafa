"""Reading and writing of pictures: they become upright sRGB on white; sizes are checked before decoding."""

import hashlib
import io
import math
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from fantasyportrait.core.atomic_write import atomic_write, output_errors
from fantasyportrait.core.errors import FantasyPortraitError, MediaError, OutputError
from fantasyportrait.core.limits import PRIVATE, Limits
from fantasyportrait.core.optional import require
from fantasyportrait.core.sentences import Sentence
from fantasyportrait.images.exif_orientation import upright
from fantasyportrait.images.input_checks import check_file, is_video_file
from fantasyportrait.images.input_file import open_file
from fantasyportrait.images.large_jpegs import OpenedImage, coefficient_bytes, open_image, reduced_message
from fantasyportrait.images.photo_header import check_header, is_animated_gif
from fantasyportrait.images.size_checks import check_pixels
from fantasyportrait.images.tiff_bmp import check_values, lab_to_srgb, opaque

Pixels = NDArray[np.uint8]

ON_WHITE = "transparent parts were laid on white"
"""Message about a photo with an alpha channel."""
_NAMES = {"WEBP": "WebP"}
# Bytes per pixel of Pillow's modes; the others have four.
_PIXEL_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2, "I;16N": 2}


@dataclass(frozen=True)
class Photo:
    """A decoded photo.

    Attributes:
        pixels: uint8 (H, W, 3) upright sRGB; transparent parts are laid on white.
        messages: sentences about what was changed.
        sha256: of the file.
        alpha: uint8 (H, W), 0 transparent to 255 opaque; None where all is opaque.
    """

    pixels: Pixels = field(compare=False, repr=False)  # compared by the digest
    messages: tuple[str, ...]
    sha256: str
    alpha: Pixels | None = field(default=None, compare=False, repr=False)


def load_photo(path: Path, limits: Limits = PRIVATE) -> Photo:
    """Read a photo in one of the limits' formats (HEIC with the extra `heic`); a JPEG over them is read reduced.

    Raises MediaError when the file is missing, broken, of another kind or over a limit, and DependencyError for HEIC
    without its package.
    """
    data = read_bytes(path, limits)
    check_header(path, data, limits)
    formats = list(limits.formats)
    if is_heic(path, data):
        require("pillow_heif", extra="heic", purpose=f"reading {path.name}").register_heif_opener()
        formats.append("HEIF")
    messages: list[str] = []
    with as_media_error(path, limits):
        # In one expression, so that every step frees the picture of the step before.
        pixels, alpha = _flattened(*_to_srgb(_decoded(path, data, formats, limits, messages), messages), messages)
    return Photo(pixels, tuple(messages), hashlib.sha256(data).hexdigest(), alpha)


def upright_srgb(image: Image.Image, messages: list[str]) -> Pixels:
    """A decoded image as uint8 (H, W, 3), turned upright, in sRGB, on white; `messages` gets what was changed."""
    return flattened_srgb(image, messages)[0]


def flattened_srgb(image: Image.Image, messages: list[str]) -> tuple[Pixels, Pixels | None]:
    """The pixels of `upright_srgb`, and the alpha channel uint8 (H, W); None where all is opaque."""
    return _flattened(*_to_srgb(upright(image), messages), messages)


def on_white(frame: Pixels) -> Pixels:
    """A frame RGBA (H, W, 4) laid on white, uint8 RGB (H, W, 3); an RGB frame unchanged."""
    if frame.shape[2] == 3:
        return frame
    image = Image.fromarray(frame)
    white = Image.new("RGB", image.size, "white")
    white.paste(image.convert("RGB"), mask=image.getchannel("A"))
    return np.array(white)


def straight_colours(pixels: Pixels, alpha: Pixels) -> NDArray[np.float32]:
    """Colours float32 (H, W, 3), 0 to 255, that give `pixels` when they are laid on white by `alpha` (H, W)."""
    share = np.maximum(alpha, 1).astype(np.float32)[..., None] / 255
    return np.asarray(np.clip((pixels - 255 * (1 - share)) / share, 0, 255), np.float32)


def save_photo(path: Path, photo: Photo) -> None:
    """Write a photo so that `load_photo` reads the same pixels and alpha from a PNG; raises OutputError."""
    if photo.alpha is None:
        save_image(path, photo.pixels)
        return
    colours = np.round(straight_colours(photo.pixels, photo.alpha)).astype(np.uint8)
    save_image(path, np.dstack([colours, photo.alpha]))


def save_image(path: Path, pixels: Pixels, quality: int = 95) -> None:
    """Write uint8 RGB (H, W, 3), or RGBA (H, W, 4) but as JPEG, in the format of the suffix (.png, .jpg, .webp).

    The file appears whole or not at all.
    """
    kind = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}.get(path.suffix.lower())
    if kind is None:
        raise OutputError("cannot write {path}: a picture must end in .png, .jpg or .webp", path=path)
    with output_errors(path), atomic_write(path) as made:
        Image.fromarray(pixels).save(made, kind, **({} if kind == "PNG" else {"quality": quality}))


def even_size(width: int, height: int, cap: int) -> tuple[int, int]:
    """Return (width, height) unchanged if both are even and at most `cap`; else scaled to the cap and made even."""
    if min(width, height) < 1 or cap < 2:
        raise MediaError(
            "a picture of {width} x {height} cannot be made even under a cap of {cap}",
            width=width,
            height=height,
            cap=cap,
        )
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

    `fast` takes a third of the time and is a little softer: for previews.
    """
    if (pixels.shape[1], pixels.shape[0]) == size:
        return pixels
    kernel = Image.Resampling.BILINEAR if fast else Image.Resampling.LANCZOS
    return np.asarray(Image.fromarray(pixels).resize(size, kernel))


def read_bytes(path: Path, limits: Limits) -> bytes:
    """Read a picture's whole file. Raises MediaError where it is no file, empty, or over the limits."""
    check_file(path, "photo")
    with open_file(path) as file:
        size = file.seek(0, 2)
        if not size:
            raise MediaError("{path} is empty: it holds no picture", path=path)
        if size > limits.file_bytes:
            raise MediaError(
                "{path} is {size} MiB, too large to be a photo: at most {most} MiB are read; save it smaller",
                path=path,
                size=size >> 20,
                most=limits.file_bytes >> 20,
            )
        file.seek(0)
        try:
            return file.read()
        except OSError as error:
            raise MediaError("cannot read {path}: {reason}", path=path, reason=error.strerror or error) from error


@contextmanager
def as_media_error(path: Path, limits: Limits) -> Iterator[None]:
    """Turn every exception of Pillow and its plugins for hostile and broken files into one MediaError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            yield
    except Image.DecompressionBombError as error:
        raise MediaError(
            "{path} is too large to be read safely: at most {most:.0f} million pixels; scale it down",
            path=path,
            most=limits.pixels / 1e6,
        ) from error
    except UnidentifiedImageError as error:
        if is_video_file(path):
            raise MediaError(
                "{path} is a video, not a photo: give a picture, for example one of its frames", path=path
            ) from error
        *names, last = (_NAMES.get(name, name) for name in limits.formats)
        raise MediaError(
            "{path} is not a picture that can be read: use {names} or {last}",
            path=path,
            names=", ".join(names),
            last=last,
        ) from error
    except FantasyPortraitError:
        raise
    except MemoryError as error:
        raise MediaError("{path} needs more memory than there is to be read: scale it down", path=path) from error
    except Exception as error:  # plugins raise any type: AVIF's a RuntimeError
        raise MediaError(
            "{path} is damaged or cut off and cannot be read: save it again ({error})", path=path, error=error
        ) from error


def _decoded(path: Path, data: bytes, formats: list[str], limits: Limits, messages: list[str]) -> Image.Image:
    """Decode the picture, upright, and drop its decoder: some keep copies of pictures."""
    with ExitStack() as stack:
        opened = open_image(data, formats, limits)
        image = stack.enter_context(opened.image)
        check_size(path, opened, limits)
        messages += reduced_message(path.name, opened, limits)
        messages += _first_of_several(path, image, data)
        check_values(path, image)
        image.load()
        turned = upright(opaque(image) if image.format == "BMP" else image)
        return image.copy() if turned is image else turned


def is_heic(path: Path, data: bytes) -> bool:
    """Whether the file is a HEIC, by its first bytes, else by its name."""
    brands = data[8:64] if data[4:8] == b"ftyp" else b""
    if b"avi" in brands or data.startswith((b"\xff\xd8", b"\x89PNG")):  # also where the suffix is .heic
        return False
    return any(brand in brands for brand in (b"heic", b"heix", b"mif1")) or path.suffix.lower() in (".heic", ".heif")


def check_size(path: Path, opened: OpenedImage, limits: Limits) -> None:
    """Refuse a picture that is over the limits, before it is decoded; raises MediaError."""
    width, height = opened.image.size
    advice = "scale it down" if isinstance(opened.image, JpegImageFile) else "scale it down, or save it as a JPEG"
    check_pixels(path, (width, height), limits, advice)
    size = width * height * _PIXEL_BYTES.get(opened.image.mode, 4) + coefficient_bytes(opened)
    if size > limits.decoded_bytes:
        raise MediaError(
            "{path} takes {size} MiB when it is decoded, and at most {most} MiB are used: scale it down",
            path=path,
            size=size >> 20,
            most=limits.decoded_bytes >> 20,
        )


def _first_of_several(path: Path, image: Image.Image, data: bytes) -> list[str]:
    """Return a message about an animation, or a scan of several pages, of which the first picture is used."""
    if _is_animated(image, data):
        return [Sentence("{path} is an animation: its first picture is used", path=path.name)]
    pages = getattr(image, "n_frames", 1) if image.format == "TIFF" else 1
    return [Sentence("{path} has {pages} pages: the first is used", path=path.name, pages=pages)] if pages > 1 else []


def _is_animated(image: Image.Image, data: bytes) -> bool:
    """Whether the file is an animation, by its header: Pillow would read a whole GIF to count."""
    if image.format == "GIF":
        return is_animated_gif(data)
    return image.format in ("PNG", "WEBP", "AVIF") and getattr(image, "n_frames", 1) > 1


def _eight_bits(image: Image.Image, messages: list[str]) -> Image.Image:
    if not image.mode.startswith("I"):
        return image
    grey = np.asarray(image)
    if grey.max(initial=0) > 255 or image.mode != "I":
        grey = (grey.clip(0, 65535).astype(np.int32) + 128) // 257
        messages.append("16-bit grey was scaled to 8 bits")
    return Image.fromarray(grey.astype(np.uint8))


def _to_srgb(image: Image.Image, messages: list[str]) -> tuple[Image.Image, Image.Image | None]:
    """Return RGB in sRGB, and the alpha channel if there is one; each step frees the picture of the step before."""
    profile = image.info.get("icc_profile")
    image = _eight_bits(image, messages)
    alpha = None
    if image.has_transparency_data:
        is_grey = image.mode == "LA"
        image = image.convert("RGBA")
        alpha = image.getchannel("A")
        image = image.convert("L" if is_grey else "RGB")  # grey stays one channel: so its profile fits
    elif image.mode in ("P", "1", "RGBX"):
        image = image.convert("RGB")
    if image.mode == "LAB":
        return lab_to_srgb(image), alpha
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
            image = converted or image
        except (ImageCms.PyCMSError, OSError) as error:
            messages.append(Sentence("its colour profile cannot be used and was left out ({error})", error=error))
    return image.convert("RGB") if image.mode != "RGB" else image, alpha


def _flattened(image: Image.Image, alpha: Image.Image | None, messages: list[str]) -> tuple[Pixels, Pixels | None]:
    """The picture on white, and its alpha channel; None where all is opaque."""
    if alpha is None or alpha.getextrema() == (255, 255):
        return np.array(image), None
    messages.append(ON_WHITE)
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=alpha)
    return np.array(white), np.array(alpha)
