"""What TIFF and BMP bring that other formats of photos do not: floating-point values, Lab colours, unused alpha."""

from pathlib import Path

from PIL import Image, ImageCms

from fantasyportrait.core.errors import MediaError

# Pillow's names of modes whose values have no known white.
_VALUES = {"F": "floating-point values", "I": "whole numbers beyond 16 bits"}


def check_values(path: Path, image: Image.Image) -> None:
    """Refuse a TIFF whose values are measurements, not colours, with MediaError."""
    if image.format == "TIFF" and image.mode in _VALUES:
        raise MediaError(
            f"{path} holds {_VALUES[image.mode]}, which are no colours of a photo: save it with 8 or 16 bits a channel"
        )


def opaque(image: Image.Image) -> Image.Image:
    """A BMP without an alpha channel that is zero everywhere: many programs write 32-bit BMPs so."""
    if image.mode == "RGBA" and image.getchannel("A").getextrema() == (0, 0):
        return image.convert("RGB")
    return image


def lab_to_srgb(image: Image.Image) -> Image.Image:
    """A picture in CIE Lab as RGB in sRGB."""
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
    if converted is None:
        raise ValueError("the colours cannot be converted from Lab")
    return converted
