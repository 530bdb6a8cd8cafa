"""The icon of the project and the picture that is shown where its address is shared."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter, ImageFont

DARK, PALE = (17, 24, 39), (229, 231, 235)
ORANGE, BLUE, GREEN = (230, 85, 13), (33, 113, 181), (35, 139, 69)  # of faces 1, 2 and 3
# Middle and half width of the crops in three_friends.jpg, in pixels.
HEADS = ((279, 310, 205), (640, 262, 205), (1001, 320, 205))


def icon(size: int = 128) -> Image.Image:
    """Two heads in the colours of faces 1 and 2: one talks, one smiles; RGBA (`size`, `size`)."""
    k = 8 * size / 128
    image = Image.new("RGBA", (size * 8, size * 8))
    draw = ImageDraw.Draw(image)

    def box(*edges: float) -> tuple[float, ...]:
        return tuple(k * edge for edge in edges)

    draw.rounded_rectangle(box(0, 0, 128, 128), 28 * k, fill=DARK)
    for x, y, colour in ((84, 56, BLUE), (47, 70, ORANGE)):
        draw.ellipse(box(x - 38, y - 42, x + 38, y + 42), fill=DARK)
        draw.ellipse(box(x - 33, y - 37, x + 33, y + 37), fill=colour)
        for side in (-12, 12):
            draw.ellipse(box(x + side - 4.5, y - 13, x + side + 4.5, y - 2), fill="white")
    draw.chord(box(80, 52, 104, 76), 0, 180, fill="white")
    draw.ellipse(box(38, 78, 56, 98), fill="white")
    return image.resize((size, size), Image.Resampling.LANCZOS)


def social(friends: Image.Image) -> Image.Image:
    """The name of the project beside three heads of the example picture: RGB (1200, 630)."""
    image = Image.linear_gradient("L").resize((1200, 630))
    image = Image.composite(Image.new("RGB", image.size, (30, 41, 72)), Image.new("RGB", image.size, DARK), image)
    draw = ImageDraw.Draw(image)
    draw.text((70, 176), "FantasyPortrait", font=ImageFont.load_default(74), fill="white")
    for line, text in enumerate(("One photo. A driving clip for each face.", "Every face acts its own part.")):
        draw.text((74, 290 + 46 * line), text, font=ImageFont.load_default(30), fill=PALE)
    _waves(draw, (74, 440), (0.35, 0.6, 1.0, 0.55, 0.8, 0.4, 0.7, 0.95, 0.5, 0.3), ORANGE)
    _waves(draw, (264, 440), (0.5, 0.9, 0.45, 0.7, 0.35, 1.0, 0.6, 0.4, 0.75, 0.5), BLUE)
    places = ((1010, 170, 130), (820, 330, 130), (1030, 470, 130))
    for (x, y, half), (cx, cy, radius), colour in zip(HEADS, places, (ORANGE, BLUE, GREEN), strict=True):
        _medal(image, friends.crop((x - half, y - half, x + half, y + half)), (cx, cy), radius, colour)
    return image


def _waves(
    draw: ImageDraw.ImageDraw, at: tuple[int, int], heights: Sequence[float], colour: tuple[int, int, int]
) -> None:
    """A row of bars, as of a voice."""
    for k, height in enumerate(heights):
        x, half = at[0] + 16 * k, 34 * height
        draw.rounded_rectangle((x, at[1] - half, x + 8, at[1] + half), 4, fill=colour)


def _medal(
    image: Image.Image, head: Image.Image, middle: tuple[int, int], radius: int, colour: tuple[int, int, int]
) -> None:
    """`head` in a ring of `colour`, pasted around `middle`."""
    size, fine = 2 * radius + 16, 4
    disc, ring = Image.new("L", (size * fine, size * fine)), Image.new("L", (size * fine, size * fine))
    ImageDraw.Draw(ring).ellipse((0, 0, size * fine - 1, size * fine - 1), fill=255)
    ImageDraw.Draw(disc).ellipse((32, 32, (size - 8) * fine, (size - 8) * fine), fill=255)
    corner = (middle[0] - size // 2, middle[1] - size // 2)
    disc, ring = (mask.resize((size, size), Image.Resampling.LANCZOS) for mask in (disc, ring))
    glow = Image.new("L", image.size)
    glow.paste(ring.point(lambda value: value // 2), corner)
    image.paste(colour, mask=glow.filter(ImageFilter.GaussianBlur(22)))
    image.paste(colour, corner, ring)
    image.paste(head.resize((size, size), Image.Resampling.LANCZOS), corner, disc)


def write_emblems(folder: Path) -> None:
    """Write favicon.png, the larger icon.png, and social.png, which shows three_friends.jpg, into `folder`."""
    icon().save(folder / "favicon.png", optimize=True)
    icon(512).save(folder / "icon.png", optimize=True)
    with Image.open(folder / "three_friends.jpg") as friends:
        social(friends).save(folder / "social.png", optimize=True)
