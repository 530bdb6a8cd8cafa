"""Special cases of TIFF and BMP: floating-point values, Lab colours, unused alpha."""

from pathlib import Path

from PIL import Image, ImageCms

from fantasyportrait.core.errors import MediaError

# Pillow's modes whose values have no defined white.
_VALUES = {"F": "floating-point values", "I": "whole numbers beyond 16 bits"}


def check_values(path: Path, image: Image.Image) -> None:
    """Raise MediaError for a TIFF whose values are measurements, not colours."""
    if image.format == "TIFF" and image.mode in _VALUES:
        raise MediaError(
            "{path} holds {values}, which are no colours of a photo: save it with 8 or 16 bits a channel",
            path=path,
            values=_VALUES[image.mode],
        )


def opaque(image: Image.Image) -> Image.Image:
    """Drop the alpha channel of a BMP where it is zero everywhere, as in 32-bit BMPs of many programs."""
    if image.mode == "RGBA" and image.getchannel("A").getextrema() == (0, 0):
        return image.convert("RGB")
    return image


def lab_to_srgb(image: Image.Image) -> Image.Image:
    """Convert a picture from CIE Lab to sRGB."""
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
    if converted is None:
        raise ValueError("the colours cannot be converted from Lab")
    return converted
