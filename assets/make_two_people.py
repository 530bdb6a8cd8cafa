"""Compose the two-person example from two public-domain portraits (see CREDITS.md).

The astronaut's studio is the scene; its backdrop is continued to the right, and the officer is cut out along a
hand-traced outline and put into it. Run with the `dev` extra installed:  python assets/make_two_people.py
"""

from pathlib import Path

import cv2
import matplotlib.cbook
import numpy as np
import skimage.data
from numpy.typing import NDArray

WIDTH, HEIGHT = 1024, 576
ASTRONAUT_SCALE, ASTRONAUT_AT = 1.62, (-62, 0)
OFFICER_SCALE, OFFICER_AT = 0.945, (540, 16)
# Where the astronaut's photo ends on the canvas (row, column): left of the model shuttle, then along her arm.
STUDIO_ENDS = ((0, 474), (340, 474), (400, 486), (480, 518), (540, 522), (576, 516))

# Outline of the officer in grace_hopper.jpg, clockwise from the lower left; pixels of that picture (512x600).
# fmt: off
OUTLINE = (
    (10, 600), (15, 560), (21, 520), (26, 470), (29, 430), (33, 416), (40, 399), (48, 386), (55, 381), (63, 380),
    (74, 372), (90, 366), (105, 363), (125, 359), (145, 351), (165, 344), (178, 336), (190, 327), (202, 315),
    (203, 308), (201, 299), (190, 294), (175, 286), (166, 278), (162, 268), (164, 257), (161, 240), (157, 225),
    (154, 210), (153, 200), (155, 192), (159, 186), (158, 180), (157, 172), (152, 164), (148, 150), (149, 135),
    (151, 120), (156, 108), (164, 98), (171, 89), (175, 83), (179, 69), (187, 57), (198, 47), (209, 42), (219, 40),
    (222, 35), (229, 30), (241, 25), (256, 23), (271, 25), (283, 30), (292, 36), (299, 41), (310, 42), (322, 47),
    (334, 55), (344, 67), (350, 78), (354, 87), (361, 88), (365, 94), (368, 103), (368, 120), (370, 135), (370, 150),
    (369, 165), (367, 175), (367, 182), (372, 186), (374, 192), (375, 200), (372, 220), (369, 240), (365, 255),
    (360, 270), (357, 282), (351, 292), (344, 301), (337, 306), (332, 308), (333, 316), (345, 326), (360, 339),
    (380, 347), (400, 357), (420, 366), (440, 371), (460, 377), (475, 384), (488, 390), (495, 398), (500, 413),
    (506, 431), (512, 448), (530, 500), (530, 600),
)
# fmt: on


def scaled(pixels: NDArray[np.uint8], scale: float, at: tuple[int, int]) -> NDArray[np.uint8]:
    """`pixels` enlarged by `scale` with its corner `at` (x, y) of a canvas of the result's size."""
    matrix = np.array([[scale, 0, at[0]], [0, scale, at[1]]], np.float32)
    kind = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
    return cv2.warpAffine(pixels, matrix, (WIDTH, HEIGHT), flags=kind, borderMode=cv2.BORDER_REPLICATE)


def studio(photo: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """The astronaut's photo on the canvas, its mottled backdrop continued where the shuttle and the edge were."""
    scene = scaled(photo, ASTRONAUT_SCALE, ASTRONAUT_AT).astype(np.float32)
    plain = photo[:150, 300:375].reshape(-1, 3).astype(np.float32)
    clouds = np.zeros((HEIGHT, WIDTH), np.float32)
    for cells, strength in ((3, 0.7), (7, 0.6), (18, 0.3)):
        noise = rng.standard_normal((cells, 2 * cells)).astype(np.float32)
        clouds += strength * cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    grain = cv2.GaussianBlur(rng.standard_normal((HEIGHT, WIDTH, 1)).astype(np.float32), (0, 0), 0.9)[..., None]
    fall = np.linspace(1.03, 0.80, HEIGHT, dtype=np.float32)[:, None, None]
    backdrop = plain.mean(axis=0) * fall + clouds[..., None] * plain.std(axis=0) * 1.1 + 2.0 * grain
    columns = np.arange(WIDTH, dtype=np.float32)[None, :]
    rows = np.arange(HEIGHT, dtype=np.float32)[:, None]
    ends_row, ends_column = np.array(STUDIO_ENDS, np.float32).T
    edge = np.interp(rows, ends_row, ends_column)
    softness = np.interp(rows, (0, 340, 430), (64, 64, 14))
    share = np.clip((edge - columns) / softness + 0.5, 0, 1)[..., None]
    share = share * share * (3 - 2 * share)
    return np.clip(share * scene + (1 - share) * backdrop, 0, 255).astype(np.uint8)


def cut_out(photo: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """The officer on the canvas and her mask (H, W, 1), 0 to 1; edge pixels take the colour found further inside."""
    mask = np.zeros(photo.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.array(OUTLINE, np.int32)], 255, lineType=cv2.LINE_AA)
    solid = (mask > 127).astype(np.uint8)
    inside = cv2.erode(solid, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7)))
    # The ring reaches far outwards, so that the colours that spread into it come from inside only.
    ring = cv2.dilate(solid, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (25, 25))) - inside
    clean = cv2.inpaint(photo, ring, 3, cv2.INPAINT_TELEA)
    soft = cv2.GaussianBlur(mask, (0, 0), 1.1)
    pixels = scaled(clean, OFFICER_SCALE, OFFICER_AT)
    return pixels, scaled(soft, OFFICER_SCALE, OFFICER_AT)[..., None].astype(np.float32) / 255


def compose() -> NDArray[np.uint8]:
    """The example picture: uint8 (576, 1024, 3) RGB."""
    rng = np.random.default_rng(1996)
    scene = studio(skimage.data.astronaut(), rng).astype(np.float32)
    path = matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)
    officer, mask = cut_out(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB))
    shadow = cv2.GaussianBlur(mask, (0, 0), 14)[..., None] * 0.22
    scene = scene * (1 - shadow)
    return np.clip(mask * officer + (1 - mask) * scene, 0, 255).astype(np.uint8)


def main() -> None:
    """Write two_people.png beside this script."""
    target = Path(__file__).with_name("two_people.png")
    cv2.imwrite(str(target), cv2.cvtColor(compose(), cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 9])


if __name__ == "__main__":
    main()
