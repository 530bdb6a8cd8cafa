"""The pictures: their backgrounds, and the position of each character."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from head import linear
from look import Look
from people import AMARA, KOFI, LEILA, LI, MAYA, OLIVER, ROSA, TOM
from PIL import Image
from render import LEFT, TOP, character
from shapes import Array, bump, smoothstep


@dataclass(frozen=True)
class Place:
    """A character in a picture of width 1: the middle between the eyes, and half the width of the face."""

    look: Look
    x: float
    y: float
    unit: float


@dataclass(frozen=True)
class Scene:
    """A picture: its size, its background, and its characters from the farthest to the nearest."""

    width: int
    height: int
    background: Callable[[Array, Array], Array]
    places: tuple[Place, ...]


def blurred(light: Array, radius: float) -> Array:
    """Linear light (H, W, 3) or a mask (H, W) blurred by `radius` pixels."""
    if light.ndim == 2:
        return _box_blur(light, radius)
    return np.stack([_box_blur(light[..., k], radius) for k in range(light.shape[2])], axis=2)


def _box_blur(plane: Array, radius: float) -> Array:
    """Three box filters along each axis, which are close to a Gaussian."""
    half = max(1, round(radius))
    for axis in (0, 1):
        for _ in range(3):
            pads = [(half + 1, half) if k == axis else (0, 0) for k in range(2)]
            sums = np.cumsum(np.pad(plane, pads, mode="edge"), axis=axis, dtype=np.float64)
            upper = np.take(sums, range(2 * half + 1, sums.shape[axis]), axis=axis)
            lower = np.take(sums, range(sums.shape[axis] - 2 * half - 1), axis=axis)
            plane = ((upper - lower) / (2 * half + 1)).astype(np.float32)
    return plane


def _over(light: Array, colour: tuple[int, int, int], mask: Array) -> Array:
    return light + (linear(colour) - light) * mask[..., None]


def _ramp(y: Array, stops: tuple[tuple[float, tuple[int, int, int]], ...]) -> Array:
    at = [s for s, _ in stops]
    colours = np.array([linear(c) for _, c in stops])
    return np.stack([np.interp(y, at, colours[:, k]) for k in range(3)], axis=2).astype(np.float32)


def _glows(x: Array, y: Array, light: Array, seed: int, count: int, box: tuple[float, float, float, float]) -> Array:
    """Discs of light out of focus; `box` is their lowest and highest x and y."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        cx, cy = rng.uniform(box[0], box[1]), rng.uniform(box[2], box[3])
        radius, strength = rng.uniform(0.008, 0.026), rng.uniform(0.06, 0.30)
        away = np.hypot(x - cx, y - cy) / radius
        disc = smoothstep(1.05, 0.92, away) * (0.75 + 0.25 * smoothstep(0.5, 1.0, away))
        colour = linear((255, int(rng.uniform(190, 235)), int(rng.uniform(110, 180))))
        light = light + colour * (strength * disc)[..., None].astype(np.float32)
    return light


def sunset(x: Array, y: Array) -> Array:
    """Hills and a low sun, in linear light; x and y in picture widths."""
    light = _ramp(y, ((0.0, (92, 134, 178)), (0.18, (160, 178, 190)), (0.32, (246, 206, 160)), (0.40, (255, 190, 128))))
    sun = np.hypot(x - 0.28, y - 0.33)
    light = light + linear((255, 214, 150)) * (0.9 * bump(sun, 0.05) + 0.5 * bump(sun, 0.2))[..., None]
    ridges = (
        (0.360, 0.022, 7.0, 0.4, (170, 152, 150)),
        (0.395, 0.026, 5.0, 2.1, (128, 136, 122)),
        (0.440, 0.030, 4.2, 4.0, (92, 118, 88)),
        (0.500, 0.025, 3.3, 1.0, (66, 96, 64)),
    )
    for base, height, waves, phase, colour in ridges:
        line = base - height * np.sin(waves * x * 2.2 + phase) - 0.35 * height * np.sin(waves * x * 6 + 2 * phase)
        light = _over(light, colour, smoothstep(-0.006, 0.006, y - line))
    light = _glows(x, y, light, 5, 40, (0.0, 1.0, 0.42, 0.56))
    return light


def garden(x: Array, y: Array) -> Array:
    """An evening garden with strings of lamps, in linear light; x and y in picture widths."""
    light = _ramp(y, ((0.0, (44, 58, 104)), (0.2, (98, 92, 140)), (0.34, (206, 138, 136)), (0.42, (112, 96, 92))))
    rng = np.random.default_rng(11)
    for _ in range(46):
        cx, cy, size = rng.uniform(-0.05, 1.05), rng.uniform(0.26, 0.48), rng.uniform(0.03, 0.085)
        shade = rng.uniform(0.6, 1.25)
        colour = (int(44 * shade), int(84 * shade), int(66 * shade))
        light = _over(light, colour, 0.85 * smoothstep(1.0, 0.75, np.hypot(x - cx, (y - cy) * 1.1) / size))
    light = _over(light, (70, 104, 68), smoothstep(0.46, 0.52, y))
    light = _glows(x, y, light, 8, 46, (0.0, 1.0, 0.16, 0.5))
    for start, sag, high in ((-0.05, 0.060, 0.035), (0.48, 0.075, 0.02)):
        for k in range(13):
            share = k / 12
            cx, cy = start + 0.58 * share, high + 4 * sag * share * (1 - share)
            away = np.hypot(x - cx, y - cy)
            light = light + linear((255, 216, 140)) * (1.6 * bump(away, 0.0065) + 0.22 * bump(away, 0.03))[..., None]
    return light


SCENES = {
    "three_friends": Scene(1280, 720, sunset, (
        Place(OLIVER, 0.500, 0.205, 0.085), Place(ROSA, 0.218, 0.245, 0.087), Place(AMARA, 0.782, 0.252, 0.085),
    )),
    "five_neighbours": Scene(1536, 864, garden, (
        Place(KOFI, 0.500, 0.150, 0.062), Place(LI, 0.190, 0.168, 0.060), Place(LEILA, 0.810, 0.160, 0.062),
        Place(TOM, 0.342, 0.374, 0.067), Place(MAYA, 0.622, 0.376, 0.060),
    )),
}  # fmt: skip


def draw(scene: Scene, scale: float = 1.0) -> Image.Image:
    """The picture, `scale` times its full size."""
    width, height = round(scene.width * scale), round(scene.height * scale)
    x, y = np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / width)
    light = blurred(scene.background(x.astype(np.float32), y.astype(np.float32)), width / 400)
    crowd = np.zeros((height, width), np.float32)
    for place in scene.places:
        light, crowd = _placed(light, crowd, place)
    light *= (1 - 0.22 * smoothstep(0.45, 0.85, np.hypot(x - 0.5, (y - height / width / 2) * 1.3).astype(np.float32)))[
        ..., None
    ]
    shown = np.power(np.clip(light / (1 + 0.18 * light), 0, None), 1 / 2.2) * 1.03
    return Image.fromarray((np.clip(shown, 0, 1) * 255 + 0.5).astype(np.uint8))


def _placed(light: Array, crowd: Array, place: Place) -> tuple[Array, Array]:
    """`light` and the mask of all characters with one more, and with the shadow that it casts on those behind it."""
    height, width = crowd.shape
    unit = place.unit * width
    left, top = round(place.x * width + LEFT * unit), round(place.y * width - TOP * unit)
    drawn, alpha = character(place.look, unit, (place.y * width - height) / unit - 0.05)
    rows = slice(max(top, 0), min(top + len(alpha), height))
    columns = slice(max(left, 0), min(left + alpha.shape[1], width))
    inner = (slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left))
    cover = np.zeros_like(crowd)
    cover[rows, columns] = alpha[inner]
    light = light * (1 - (0.08 + 0.5 * crowd) * blurred(cover, unit * 0.14))[..., None]
    light[rows, columns] = light[rows, columns] * (1 - alpha[inner])[..., None] + drawn[inner]
    return light, np.maximum(crowd, cover)
