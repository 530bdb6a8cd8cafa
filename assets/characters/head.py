"""A head: skull, nose, lids, lips and ears as one distance function, and the colours of its skin."""

import numpy as np
from look import Look
from shapes import Array, Points, ball, bump, carve, ellipsoid, join, rod, smoothstep

EYE_X, EYE_Y, EYE_Z, EYEBALL = 0.41, 0.0, 0.53, 0.275
MOUTH_Y, MOUTH_HALF = -0.90, 0.39


def linear(colour: tuple[int, int, int]) -> Array:
    """An sRGB colour as linear light, float32 (3,)."""
    return np.power(np.array(colour, np.float32) / 255, np.float32(2.2))


def mix(colours: Array, other: Array, share: Array) -> Array:
    """`colours` (N, 3) moved towards `other` by `share` (N,)."""
    return colours + (other - colours) * share[:, None]


def eye_opening(p: Points, look: Look) -> Array:
    """How far outside the opening of the nearer eye a point is in front view (negative between the lids)."""
    across = (np.abs(p[0]) - EYE_X) / np.float32(0.232 * look.eyes)
    arc = np.maximum(1 - across * across, 0)
    height = p[1] - EYE_Y - 0.028 * across
    upper = 0.150 * look.eyes * np.power(arc, np.float32(0.72)) * (1 - 0.12 * across)
    lower = -0.104 * look.eyes * np.power(arc, np.float32(0.8))
    return np.maximum(np.maximum(height - upper, lower - height), (np.abs(across) - 1) * 0.23)


def lips(p: Points, look: Look) -> tuple[Array, Array, Array]:
    """Height above the mouth line, and how far into the upper and the lower lip a point is, 0 to 1."""
    across = np.abs(p[0]) / np.float32(MOUTH_HALF * look.mouth)
    arc = np.maximum(1 - across * across, 0)
    line = (
        MOUTH_Y + look.smile * (across * across - 0.35) - 0.016 * bump(across, 0.3) + 0.008 * bump(across - 0.35, 0.25)
    )
    above = p[1] - line
    bow = 1 - 0.22 * bump(across, 0.17)
    upper = 0.085 * look.fullness * np.power(arc, np.float32(0.85)) * bow
    lower = 0.115 * look.fullness * np.power(arc, np.float32(0.6))
    return above, above / np.maximum(upper, 1e-3), -above / np.maximum(lower, 1e-3)


def brows(p: Points, look: Look) -> Array:
    """1 on the brows, 0 beside them, in front view."""
    across = (np.abs(p[0]) - 0.16) / np.float32(0.60)
    ridge = 0.285 + 0.115 * look.brow_arch * np.sin(np.pi * np.clip(across * 0.72 + 0.05, 0, 1)) - 0.05 * across
    thickness = 0.058 * look.brow_size * np.power(np.clip(1.12 - across, 0.05, 1), np.float32(0.55))
    strands = 0.011 * np.sin(75 * np.abs(p[0]) - 60 * p[1]) * np.sin(31 * np.abs(p[0]) + 9)
    edge = np.abs(p[1] - ridge) + strands
    ends = smoothstep(-0.06, 0.10, across) * smoothstep(1.06, 0.86, across)
    return np.clip((thickness + 0.02 - edge) / 0.03, 0, 1) * ends


def beard(p: Points, look: Look) -> Array:
    """Thickness of beard and moustache in front view."""
    x, y = np.abs(p[0]), p[1]
    _, upper, _ = lips(p, look)
    cheek_line = -0.98 + 0.85 * np.power(np.clip(x / 0.95, 0, 1.3), np.float32(2.4))
    body = smoothstep(0.06, -0.12, y - cheek_line)
    mouth_gap = np.hypot(x / (0.42 * look.mouth), (y - MOUTH_Y + 0.03) / 0.17)
    body *= smoothstep(0.95, 1.25, mouth_gap)
    lip = bump(y - (MOUTH_Y + 0.155 - 0.22 * x * x - 0.10 * smoothstep(0.2, 0.5, x)), 0.075) * smoothstep(0.52, 0.38, x)
    lip *= smoothstep(0.6, 1.1, np.where(np.abs(upper) < 9, upper, 9) + smoothstep(0.3, 0.4, x) * 2)
    body *= 1 - 0.75 * smoothstep(0.55, 0.95, x) * smoothstep(-0.9, -0.3, y)
    body *= smoothstep(-1.78, -1.5, y)
    return look.beard * body + look.moustache * lip * (1 - 0.3 * bump(x, 0.03))


def relief(p: Points, look: Look) -> Array:
    """What is modelled onto the front of the face: lips, mouth line, folds, brows, beard."""
    x, y = np.abs(p[0]), p[1]
    above, upper, lower = lips(p, look)
    inside = smoothstep(1.06, 0.98, x / (MOUTH_HALF * look.mouth))
    swell = (
        0.050
        * look.fullness
        * (
            np.sqrt(np.clip(1 - np.square(np.clip(upper, 0, 1.0) * 1.0 - 0.30) / 0.49, 0, 1))
            * (upper > 0)
            * (upper < 1)
            + 1.25
            * np.sqrt(np.clip(1 - np.square(np.clip(lower, 0, 1.0) - 0.42) / 0.34, 0, 1))
            * (lower > 0)
            * (lower < 1)
        )
    )
    crease = 0.04 * bump(above, 0.02) * smoothstep(1.15, 1.0, x / (MOUTH_HALF * look.mouth))
    dimple = 0.035 * bump(np.hypot(x - MOUTH_HALF * look.mouth - 0.03, above * 0.8), 0.05)
    philtrum = 0.018 * bump(x, 0.035) * bump(y + 0.70, 0.08)
    under = 0.03 * bump(y - MOUTH_Y + 0.19, 0.055) * bump(x, 0.2)
    fold = x - (0.24 + 0.62 * np.clip(-0.48 - y, 0, 0.6))
    nasolabial = (
        (0.005 + 0.05 * look.age) * bump(fold, 0.035) * smoothstep(-0.45, -0.6, y) * smoothstep(-1.02, -0.85, y)
    )
    forehead = 0.014 * look.age * np.sin(42 * (y + 0.08 * x * x)) * bump(y - 0.66, 0.14) * smoothstep(0.6, 0.3, x)
    bags = 0.03 * look.age * bump(y - EYE_Y + 0.25 - 0.12 * np.square((x - EYE_X) * 2), 0.02) * bump(x - EYE_X, 0.2)
    front = smoothstep(0.0, 0.25, p[2])
    lump = swell * inside - crease - dimple - philtrum - under - nasolabial - forehead - bags
    return front * (lump + 0.022 * brows(p, look)) + smoothstep(-0.35, 0.1, p[2]) * beard(p, look)


def ears(p: Points, look: Look) -> Array:
    """Both ears."""
    q = (np.abs(p[0]), p[1], p[2])
    outer = ellipsoid((q[0] - 0.28 * (q[1] + 0.12), q[1], q[2]), (1.015, -0.14, -0.12), (0.13, 0.30, 0.17))
    hollow = ellipsoid((q[0] - 0.28 * (q[1] + 0.12), q[1], q[2]), (1.035, -0.08, 0.06), (0.065, 0.17, 0.12))
    return carve(outer, hollow, 0.05)


def skin(p: Points, look: Look) -> Array:
    """The head without hair, eyeballs and neck."""
    x = np.abs(p[0])
    q = (x, p[1], p[2])
    face = join(
        ellipsoid(p, (0, 0.42, -0.25), (0.97, 1.10, 1.15)),
        ellipsoid(p, (0, -0.30, 0.0), (0.88 * (0.6 + 0.4 * look.jaw), 1.02, 0.90)),
        0.2,
    )
    face = join(face, ellipsoid(p, (0, -0.98, 0.10), (0.62 * look.jaw, 0.44, 0.62)), 0.3)
    face = join(face, ball(p, (0, -1.25, 0.44), 0.22), 0.3)
    face = join(face, ball(q, (0.47, -0.45, 0.44), 0.34 * look.cheeks), 0.3)
    face = join(face, rod(q, (0.12, 0.27, 0.76), (0.55, 0.27, 0.60), 0.10, 0.10), 0.2)
    face = carve(face, ball(q, (0.43, 0.02, 1.06), 0.32), 0.16)
    nose = look.nose
    bridge = rod(p, (0, 0.12, 0.74), (0, -0.40, 0.94), 0.07, 0.115 * nose)
    bridge = join(bridge, ball(p, (0, -0.43, 0.98), 0.150 * nose), 0.1)
    bridge = join(bridge, ball(q, (0.145 * nose, -0.485, 0.86), 0.095 * nose), 0.09)
    face = join(face, bridge, 0.15)
    face = carve(face, ellipsoid(q, (0.075 * nose, -0.585, 0.96), (0.050 * nose, 0.035, 0.09)), 0.04)
    near = face < 0.2
    face = np.where(near, face, face - np.float32(0.08))
    face[near] -= relief((p[0][near], p[1][near], p[2][near]), look)
    near = ball(q, (EYE_X, EYE_Y, EYE_Z), 0.5) < 0
    face[near] = _with_lids((p[0][near], p[1][near], p[2][near]), face[near], look)
    return face if look.style == "scarf" else join(face, ears(p, look), 0.06)


def _with_lids(p: Points, face: Array, look: Look) -> Array:
    """`face` with the lids of both eyes, open."""
    face = join(face, ball((np.abs(p[0]), p[1], p[2]), (EYE_X, EYE_Y, EYE_Z), EYEBALL + 0.03), 0.055)
    return carve(face, np.maximum(eye_opening(p, look), 0.45 - p[2]), 0.022)


def eyeballs(p: Points) -> Array:
    """Both eyeballs."""
    return ball((np.abs(p[0]), p[1], p[2]), (EYE_X, EYE_Y, EYE_Z), EYEBALL)


def skin_colours(p: Points, look: Look) -> Array:
    """Linear colours (N, 3) of points on the skin."""
    x, y = np.abs(p[0]), p[1]
    base = linear(look.skin)
    colours = np.repeat(base[None], len(x), axis=0)
    warm = base * np.array([1.12, 0.62, 0.55], np.float32)
    cheeks = bump(np.hypot(x - 0.52, (y + 0.42) * 1.1), 0.30)
    nose = bump(np.hypot(x, y + 0.46), 0.17)
    rosy = np.clip(cheeks + 0.7 * nose + 0.5 * smoothstep(0.95, 1.05, x) + 0.3 * bump(np.hypot(x, y + 1.32), 0.2), 0, 1)
    colours = mix(colours, warm, look.blush * 0.75 * rosy)
    eye = eye_opening(p, look)
    socket = bump(np.hypot(x - EYE_X, (y - 0.06) * 1.3), 0.3)
    colours = mix(colours, base * np.array([0.80, 0.62, 0.58], np.float32), 0.35 * socket)
    if look.freckles:
        rng = np.random.default_rng(look.seed)
        for _ in range(90):
            at = rng.normal((0.0, -0.33), (0.42, 0.14))
            size = rng.uniform(0.010, 0.022)
            spot = bump(np.hypot(p[0] - np.float32(at[0]), y - np.float32(at[1])), size)
            colours = mix(colours, base * np.array([0.62, 0.42, 0.32], np.float32), look.freckles * 0.75 * spot)
    above, upper, lower = lips(p, look)
    width = x / (MOUTH_HALF * look.mouth)
    lip = np.maximum(smoothstep(1.12, 0.9, upper) * (above >= 0), smoothstep(1.1, 0.88, lower) * (above < 0))
    lip = lip * smoothstep(1.03, 0.95, width) * (p[2] > 0.3)
    lip_colour = linear(look.lips)
    colours = mix(colours, lip_colour, lip)
    colours = mix(colours, lip_colour * 0.75, lip * (above > 0) * 0.6)
    seam = bump(above, 0.013) * smoothstep(1.08, 0.98, width) * (p[2] > 0.3)
    colours = mix(colours, lip_colour * np.array([0.16, 0.10, 0.10], np.float32), 0.9 * seam)
    front = (p[2] > 0.2).astype(np.float32)
    if look.stubble:
        shade = smoothstep(0.1, -0.15, y + 0.98 - 0.85 * np.power(np.clip(x / 0.95, 0, 1.3), np.float32(2.4)))
        shade = np.maximum(shade, bump(y - MOUTH_Y - 0.19, 0.09) * smoothstep(0.5, 0.35, x)) * (1 - lip)
        colours = mix(colours, linear(look.hair) * 0.5 + base * 0.25, look.stubble * 0.45 * shade)
    hairy = smoothstep(0.008, 0.04, beard(p, look)) * (1 - lip) * smoothstep(-0.3, 0.0, p[2])
    colours = mix(colours, strand_colours(p, linear(look.hair), 60.0), hairy)
    tint = strand_colours(p, linear(look.brow), 70.0)
    colours = mix(colours, tint, 0.92 * brows(p, look) * front)
    lash = np.where(y > EYE_Y + 0.028 * (x - EYE_X) / 0.232, 1.0, 0.25)
    edge = bump(eye - 0.008, 0.020 + 0.008 * look.lashes) * (0.35 + 0.65 * look.lashes) * lash * front
    colours = mix(colours, linear((38, 24, 22)), np.clip(1.1 * edge, 0, 1).astype(np.float32))
    return colours


def strand_colours(p: Points, colour: Array, density: float) -> Array:
    """`colour` varied strand by strand, (N, 3)."""
    along = p[0] * density * 0.8 + 6 * np.sin(p[1] * 5)
    wave = 0.6 * np.sin(along + 3 * np.sin(along * 0.31)) + 0.4 * np.sin(along * 2.7 + p[1] * 9)
    return np.clip(colour[None] * (1 + 0.28 * wave[:, None]), 0, 1)


def iris_points(p: Points, look: Look) -> tuple[Array, Array]:
    """Offsets from the centre of the nearer iris, which looks at the viewer."""
    yaw, pitch, _ = np.radians(look.turn)
    u = p[0] - np.sign(p[0]) * np.float32(EYE_X) + np.float32(EYEBALL * np.sin(yaw))
    v = p[1] - np.float32(EYE_Y + 0.014 + EYEBALL * np.sin(pitch))
    return u / np.float32(look.eyes), v / np.float32(look.eyes)


def eye_colours(p: Points, look: Look) -> Array:
    """Linear colours (N, 3) of points on the eyeballs: white, iris, pupil."""
    u, v = iris_points(p, look)
    radius = np.hypot(u, v)
    white = np.repeat(linear((243, 240, 238))[None], len(u), axis=0)
    white = mix(white, linear((214, 178, 172)), 0.55 * smoothstep(0.15, 0.25, np.abs(u)))
    iris = linear(look.iris)
    angle = np.arctan2(v, u)
    spokes = 0.10 * np.sin(angle * 17 + 2 * np.sin(angle * 5)) + 0.07 * np.sin(angle * 31)
    ramp = 0.66 + 0.85 * smoothstep(0.10, -0.13, v) * smoothstep(0.02, 0.11, radius) + spokes
    disc = np.clip(iris[None] * ramp[:, None], 0, 1)
    disc = mix(disc, iris * 0.18, smoothstep(0.100, 0.132, radius))
    disc = mix(disc, np.full(3, 0.004, np.float32), smoothstep(0.067, 0.054, radius))
    return mix(white, disc, smoothstep(0.139, 0.128, radius))


def catchlights(p: Points, look: Look) -> Array:
    """Light (N,) of the reflections in the eyes."""
    u, v = iris_points(p, look)
    window = smoothstep(0.040, 0.025, np.hypot(u + 0.052, v - 0.052))
    return window + 0.35 * smoothstep(0.026, 0.012, np.hypot(u - 0.055, v + 0.06))
