"""Renders a character: rays straight into the picture, distances, light."""

from collections.abc import Callable

import numpy as np
from clothes import GARMENTS, neck
from glasses import glasses
from hair import STYLES
from head import catchlights, eye_colours, eyeballs, linear, skin, skin_colours
from look import Look
from numpy.typing import NDArray
from shapes import Array, Points, join, rotated, smoothstep

NEAR, FAR = 1.9, -1.6
SKIN, EYES, HAIR, CLOTH, FRAMES = range(5)
KEY = np.array([-0.52, 0.55, 0.66], np.float32)
FILL = np.array([0.75, 0.05, 0.55], np.float32)
RIM = np.array([0.70, 0.45, -0.55], np.float32)
LEFT, TOP = -2.35, 2.35  # of what a character may cover; it is as wide as it is symmetric


def parts(p: Points, look: Look) -> list[Array]:
    """Distances to skin, eyeballs, hair, clothes and glasses."""
    head, body = head_points(p, look), body_points(p, look)
    high, low = p[1] > -1.9, p[1] < -1.2
    under, over = np.maximum(-1.6 - p[1], 0.1), np.maximum(p[1] + 1.4, 0.1)  # bounds of what is not computed
    face, eyes, frames, cloth = under.copy(), under.copy(), under.copy(), over.copy()
    h = tuple(c[high] for c in head)
    face[high], eyes[high], frames[high] = skin(h, look), eyeballs(h), glasses(h, look)
    b = tuple(c[low] for c in body)
    cloth[low] = GARMENTS[look.clothes].shape(b, look)
    face = np.where(p[1] < -0.8, join(face, neck(body, look), 0.12), face)
    return [face, eyes, STYLES[look.style].shape(head, body, look), cloth, frames]


def head_points(p: Points, look: Look) -> Points:
    """Points in the frame of the character's head."""
    x, y, z = rotated((p[0], p[1] + np.float32(0.9), p[2] + np.float32(0.2)), *look.turn)
    return x, y - np.float32(0.9), z - np.float32(0.2)


def body_points(p: Points, look: Look) -> Points:
    """Points in the frame of the character's body."""
    return p[0] * np.float32(1 / look.build), p[1] - np.float32(look.lift), p[2]


def nearest(p: Points, look: Look) -> Array:
    """Distance to the whole character."""
    return np.minimum.reduce(parts(p, look))


def march(x: Array, y: Array, z: Array, look: Look, reach: float = 0.0025) -> Array:
    """Depth (N,) where rays from the viewer, from `z` on, come within `reach` of the character; NaN where they pass."""
    z = z.copy()
    alive = np.arange(len(x))
    hit = np.zeros(len(x), bool)
    while len(alive):
        d = nearest((x[alive], y[alive], z[alive]), look)
        found = d < reach
        hit[alive[found]] = True
        alive, d = alive[~found], d[~found]
        z[alive] -= np.maximum(d * 0.7, 0.4 * reach)
        alive = alive[z[alive] > FAR]
    return np.where(hit, z, np.nan)


def starts(x: Array, y: Array, look: Look, cell: int) -> Array:
    """Depths (H, W) from which the rays of the grid x, y may start: those of one ray for `cell` x `cell` of them."""
    cx, cy = (a[cell // 2 :: cell, cell // 2 :: cell] for a in (x, y))
    reach = float(cell * abs(x[0, 1] - x[0, 0])) * 1.2
    coarse = march(cx.ravel(), cy.ravel(), np.full(cx.size, NEAR, np.float32), look, reach).reshape(cx.shape)
    return np.repeat(np.repeat(coarse + reach, cell, axis=0), cell, axis=1)


def normals(p: Points, look: Look) -> Array:
    """Unit normals (N, 3)."""
    e = np.float32(0.006)
    total = np.zeros((len(p[0]), 3), np.float32)
    for k in ((1, -1, -1), (-1, -1, 1), (-1, 1, -1), (1, 1, 1)):
        d = nearest((p[0] + e * k[0], p[1] + e * k[1], p[2] + e * k[2]), look)
        total += d[:, None] * np.array(k, np.float32)
    return total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-9)


def occlusion(p: Points, n: Array, look: Look) -> Array:
    """Ambient light that reaches the points (N,), 0 to 1."""
    dark = np.zeros(len(p[0]), np.float32)
    for step, weight in ((0.03, 1.0), (0.09, 0.8), (0.2, 0.55), (0.38, 0.35)):
        d = nearest(tuple(p[k] + step * n[:, k] for k in range(3)), look)
        dark += weight * np.clip(step - d, 0, None) / step
    return np.clip(1 - 0.36 * dark, 0.12, 1)


def shadow(p: Points, n: Array, look: Look) -> Array:
    """Share of the key light that reaches the points (N,)."""
    light = KEY / np.linalg.norm(KEY)
    lit = n @ light > -0.3
    origin = [p[k][lit] + 0.02 * n[lit, k] for k in range(3)]
    clear = np.ones(len(origin[0]), np.float32)
    travelled = np.full(len(clear), 0.04, np.float32)
    for _ in range(11):
        d = nearest(tuple(origin[k] + light[k] * travelled for k in range(3)), look)
        clear = np.minimum(clear, np.clip(0.5 + 6.5 * d / travelled, 0, 1))
        travelled += np.clip(d, 0.04, 0.3)
    share = np.zeros(len(lit), np.float32)
    share[lit] = clear * clear * (3 - 2 * clear)
    return share


def albedo(p: Points, kind: NDArray[np.int64], look: Look) -> Array:
    """Linear colours (N, 3) by material."""
    h, b = head_points(p, look), body_points(p, look)
    colours = np.zeros((len(kind), 3), np.float32)
    painters: dict[int, Callable[[Points, Points], Array]] = {
        SKIN: lambda h, _: skin_colours(h, look),
        EYES: lambda h, _: eye_colours(h, look),
        HAIR: lambda h, q: STYLES[look.style].colours(h, q, look),
        CLOTH: lambda _, q: GARMENTS[look.clothes].colours(q, look),
        FRAMES: lambda h, _: np.repeat(linear(look.frame)[None], len(h[0]), axis=0),
    }
    for material, paint in painters.items():
        at = kind == material
        if at.any():
            colours[at] = paint(tuple(c[at] for c in h), tuple(c[at] for c in b))
    return colours


def shade(p: Points, block: NDArray[np.int64], look: Look) -> Array:
    """Linear light (N, 3) of the points of a character's surface; points of one `block` share what hides the light."""
    kind = np.argmin(np.stack(parts(p, look)), axis=0)
    n = normals(p, look)
    base = albedo(p, kind, look)
    _, first, member = np.unique(block, return_index=True, return_inverse=True)
    some = tuple(c[first] for c in p)
    ao, lit = occlusion(some, n[first], look)[member], shadow(some, n[first], look)[member]
    key = n @ (KEY / np.linalg.norm(KEY))
    soft = np.where(kind == SKIN, 1.0, 0.45).astype(np.float32)[:, None] * np.array([0.34, 0.17, 0.12], np.float32)
    wrapped = np.clip((key[:, None] + soft) / (1 + soft), 0, 1)
    lit3 = lit[:, None] * (1 - 0.35 * soft) + 0.35 * soft
    sky = 0.5 + 0.5 * n[:, 1]
    ambient = (0.20 + 0.24 * sky)[:, None] * np.array([0.92, 0.97, 1.12], np.float32)
    warm = (0.12 * np.clip(-n[:, 1], 0, 1))[:, None] * np.array([1.2, 0.9, 0.7], np.float32)
    fill = 0.26 * np.clip(n @ (FILL / np.linalg.norm(FILL)), 0, 1)[:, None] * np.array([1.0, 0.92, 0.9], np.float32)
    bounce = np.where(kind == SKIN, 1.0, 0.0)[:, None] * base * 0.25
    light = 0.90 * wrapped * lit3 * np.array([1.06, 1.0, 0.90], np.float32)
    out = base * (light + (ambient + warm + fill + bounce) * np.power(ao, 1.1)[:, None])
    half = KEY / np.linalg.norm(KEY) + np.array([0, 0, 1], np.float32)
    facing = np.clip(n @ (half / np.linalg.norm(half)), 0, 1)
    gloss = np.select([kind == SKIN, kind == EYES, kind == HAIR, kind == FRAMES], [0.055, 0.25, 0.09, 0.5], 0.012)
    tight = np.select([kind == SKIN, kind == EYES, kind == HAIR, kind == FRAMES], [14.0, 60.0, 18.0, 60.0], 6.0)
    out += (gloss * np.power(facing, tight) * lit)[:, None]
    edge = np.power(1 - np.clip(n[:, 2], 0, 1), 2.6) * smoothstep(-0.1, 0.5, n @ (RIM / np.linalg.norm(RIM)))
    out += (edge * ao)[:, None] * (0.30 + 1.2 * base) * np.array([1.1, 0.82, 0.55], np.float32) * 0.85
    h = head_points(p, look)
    out += np.where(kind == EYES, catchlights(h, look), 0)[:, None] * 0.9
    return out.astype(np.float32)


def character(look: Look, unit: float, low: float) -> tuple[Array, Array]:
    """One character at `unit` pixels for half a face width: linear light (H, W, 3) and alpha (H, W).

    Its left upper corner is at (`LEFT`, `TOP`) of the character, and it reaches down to y = `low`.
    """
    fine = 2
    columns, rows = 4 * round(-2 * LEFT * unit / 4), 4 * round((TOP - low) * unit / 4)
    xs = LEFT + (np.arange(columns * fine, dtype=np.float32) + 0.5) / (unit * fine)
    ys = TOP - (np.arange(rows * fine, dtype=np.float32) + 0.5) / (unit * fine)
    x, y = (a.astype(np.float32) for a in np.meshgrid(xs, ys))
    start = starts(x, y, look, cell=4)
    light, alpha = np.zeros((*x.shape, 3), np.float32), np.zeros(x.shape, np.float32)
    for row in range(0, len(ys), 24):
        band = slice(row, row + 24)
        near = ~np.isnan(start[band])
        bx, by = x[band][near], y[band][near]
        z = march(bx, by, start[band][near], look)
        hit = ~np.isnan(z)
        if hit.any():
            near[near] = hit
            at_row, at_column = np.nonzero(near)
            block = at_row // fine * columns + at_column // fine
            light[band][near] = shade((bx[hit], by[hit], z[hit]), block, look)
            alpha[band][near] = 1
    shape = (rows, fine, columns, fine)
    return light.reshape(*shape, 3).mean(axis=(1, 3)), alpha.reshape(shape).mean(axis=(1, 3))
