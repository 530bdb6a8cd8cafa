"""Text for videos: a title card that fills the frame, a caption on a dark band."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from fantasyportrait.core.errors import MediaError, RequestError

Pixels = NDArray[np.uint8]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_TOP, _BOTTOM = (30, 34, 48), (11, 12, 16)
_ACCENT = (230, 85, 13)
_TITLE, _SUBTITLE = (250, 250, 250), (176, 182, 196)
_BAND = (0, 0, 0, 150)
_UNKNOWN = "\U0010ffff"
# The bundled font has English letters only. Pillow finds these in the font folders of Linux, macOS and Windows.
_SYSTEM_FONTS = (
    "DejaVuSans.ttf", "NotoSans-Regular.ttf", "LiberationSans-Regular.ttf", "Arial.ttf", "segoeui.ttf", "Helvetica.ttc",
    "NotoSansCJK-Regular.ttc", "NotoSansCJKsc-Regular.otf", "wqy-microhei.ttc", "PingFang.ttc", "msyh.ttc",
    "Arial Unicode.ttf",
)  # fmt: skip


def usable_font(texts: Sequence[str], asked: Path | None) -> Path | None:
    """Return a font file with all characters of the texts: the given one, else None (bundled), else the system's.

    Raises `RequestError` where a character cannot be drawn, `MediaError` where the file asked for is no font.
    """
    missing = _missing(texts, asked)
    if missing is None:
        return asked
    if asked is None:
        for name in _SYSTEM_FONTS:
            with suppress(MediaError):
                if _missing(texts, Path(name)) is None:
                    return Path(name)
    owner = "the bundled font" if asked is None else str(asked)
    raise RequestError(
        "{owner} cannot draw the character {missing!r}: name a font file that can, with --font",
        owner=owner,
        missing=missing,
    )


def title_card(size: tuple[int, int], title: str, subtitle: str, font: Path | None = None) -> Pixels:
    """A title over a thin line and a subtitle, in the middle of a dark card; uint8 (H, W, 3) of `size` (w, h)."""
    width, height = size
    shade = np.linspace(0, 1, height)[:, None, None]
    ground = (1 - shade) * np.array(_TOP) + shade * np.array(_BOTTOM)
    card = Image.fromarray(np.broadcast_to(ground, (height, width, 3)).round().astype(np.uint8))
    draw = ImageDraw.Draw(card)
    short = min(width, height)
    big, head = _fitted(draw, title, font, short / 8, 0.84 * width, 0.45 * height)
    small, foot = _fitted(draw, subtitle, font, short / 20, 0.84 * width, 0.2 * height)
    head_height, foot_height = _height(draw, head, big), _height(draw, foot, small)
    gap = short / 22
    top = (height - head_height - (2 * gap + foot_height if foot else gap)) / 2
    draw.multiline_text((width / 2, top), head, _TITLE, big, anchor="ma", align="center", spacing=_spacing(big))
    line = top + head_height + gap
    draw.rectangle((width / 2 - short / 12, line, width / 2 + short / 12, line + max(2, short / 180)), fill=_ACCENT)
    if foot:
        draw.multiline_text(
            (width / 2, line + gap), foot, _SUBTITLE, small, anchor="ma", align="center", spacing=_spacing(small)
        )
    return np.array(card)


def caption(size: tuple[int, int], text: str, font: Path | None = None) -> Pixels:
    """Text on a rounded, half transparent band; uint8 (h, w, 4) RGBA, to lie at the foot of a frame of `size`."""
    short = min(size)
    canvas = ImageDraw.Draw(Image.new("RGBA", size))
    drawn, lines = _fitted(canvas, text, font, short / 22, 0.8 * size[0], 0.25 * size[1])
    pad = short / 40
    left, top, right, bottom = canvas.multiline_textbbox((0, 0), lines, drawn, anchor="la", align="center", spacing=4)
    band = Image.new("RGBA", (round(right - left + 3 * pad), round(bottom - top + 2 * pad)))
    draw = ImageDraw.Draw(band)
    draw.rounded_rectangle((0, 0, band.width - 1, band.height - 1), pad, _BAND)
    draw.multiline_text(
        (1.5 * pad - left, pad - top), lines, (255, 255, 255, 255), drawn, anchor="la", align="center", spacing=4
    )
    return np.array(band)


def _font(path: Path | None, size: float) -> Font:
    if path is None:
        return ImageFont.load_default(size)
    try:
        return ImageFont.truetype(str(path), size)
    except OSError as error:
        raise MediaError("{path} is not a font that can be read: give a .ttf or .otf file", path=path) from error


def _missing(texts: Sequence[str], font: Path | None) -> str | None:
    """Return the first character that the font lacks."""
    drawn = _font(font, 24)
    unknown = _glyph(drawn, _UNKNOWN)
    return next((c for c in "".join(texts) if c.isprintable() and c != " " and _glyph(drawn, c) == unknown), None)


def _glyph(font: Font, character: str) -> bytes:
    mask = font.getmask(character)
    return bytes(mask) + str(mask.size).encode()


def _fitted(
    draw: ImageDraw.ImageDraw, text: str, font: Path | None, size: float, width: float, height: float
) -> tuple[Font, str]:
    """The font, at most of that size, and the text broken into lines, so that both fit."""
    while True:
        drawn = _font(font, size)
        lines = _wrapped(draw, text, drawn, width)
        if size < 9 or (draw.textlength(max(lines.split("\n"), key=len), drawn) <= width
                        and _height(draw, lines, drawn) <= height):  # fmt: skip
            return drawn, lines
        size *= 0.9


def _wrapped(draw: ImageDraw.ImageDraw, text: str, font: Font, width: float) -> str:
    lines: list[str] = []
    for paragraph in text.splitlines():
        line = ""
        for word in paragraph.split():
            longer = f"{line} {word}".strip()
            if line and draw.textlength(longer, font) > width:
                lines.append(line)
                longer = word
            line = longer
        lines.append(line)
    return "\n".join(lines)


def _height(draw: ImageDraw.ImageDraw, lines: str, font: Font) -> float:
    if not lines:
        return 0.0
    return float(draw.multiline_textbbox((0, 0), lines, font, anchor="la", spacing=_spacing(font))[3])


def _spacing(font: Font) -> float:
    return float(getattr(font, "size", 12)) / 4
