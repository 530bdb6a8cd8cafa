"""What makes one character: proportions, colours, hair and clothes."""

from dataclasses import dataclass

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Look:
    """One character; lengths are in half face widths, 1 is the usual size of a factor.

    Attributes:
        skin, lips, hair, iris, brow: sRGB colours.
        style: a hair style of `hair.STYLES`.
        clothes: a garment of `clothes.GARMENTS`, with its two colours.
        turn: yaw, pitch and roll of the head in degrees.
        jaw, cheeks, nose, eyes, mouth, fullness: factors of their sizes.
        smile: how far the corners of the closed mouth lie above its middle.
        brow_size, brow_arch: thickness and bend of the brows.
        age: 0 to 1, the depth of lines.
        freckles, blush, lashes, stubble: 0 to 1.
        beard: thickness; `moustache`: thickness.
        lift, build: how high the shoulders are, and how wide.
        glasses: "", "round" or "square".
        seed: of freckles and strands.
    """

    skin: Colour
    lips: Colour
    hair: Colour
    iris: Colour
    brow: Colour
    style: str
    clothes: str
    cloth: Colour
    trim: Colour
    turn: tuple[float, float, float] = (0.0, 0.0, 0.0)
    jaw: float = 1.0
    cheeks: float = 1.0
    nose: float = 1.0
    eyes: float = 1.0
    mouth: float = 1.0
    fullness: float = 1.0
    smile: float = 0.03
    brow_size: float = 1.0
    brow_arch: float = 1.0
    age: float = 0.0
    freckles: float = 0.0
    blush: float = 0.5
    lashes: float = 0.5
    stubble: float = 0.0
    beard: float = 0.0
    moustache: float = 0.0
    glasses: str = ""
    lift: float = 0.14
    build: float = 1.0
    frame: Colour = (40, 36, 40)
    seed: int = 0
