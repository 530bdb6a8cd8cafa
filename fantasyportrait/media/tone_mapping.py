"""Tone mapping of HDR clips to sRGB: a 3D LUT that keeps light up to near reference white and compresses above it.

Transfer functions: SMPTE ST 2084 (PQ) and ARIB STD-B67 (HLG) as in ITU-R BT.2100; reference white: 203 cd/m2 (BT.2408).
"""

import numpy as np
from av import VideoFrame
from av.video.reformatter import ColorTrc
from numpy.typing import NDArray

from fantasyportrait.media.filter_graph import FilterGraph, two_input_graph

PQ = int(ColorTrc.SMPTE2084)
HLG = int(ColorTrc.ARIB_STD_B67)

_LEVEL = 6  # a Hald image of level n holds a cube of n**2 steps a side
_WHITE = 203.0
_HLG_PEAK = 1000.0
_KNEE = 0.8
_LUMA_2020 = np.array([0.2627, 0.6780, 0.0593])
_BT2020_TO_BT709 = np.array(
    [[1.660491, -0.587641, -0.072850], [-0.124550, 1.132900, -0.008349], [-0.018151, -0.100579, 1.118730]]
)


def is_hdr(frame: VideoFrame) -> bool:
    """Whether the frame's transfer function is PQ or HLG."""
    return frame.color_trc in (PQ, HLG)


def tone_mapping_graph(scaled: VideoFrame) -> FilterGraph:
    """Make a filter graph from frames like `scaled`, RGB of PQ or HLG codes, to 8-bit sRGB."""
    cube = VideoFrame.from_ndarray(tone_mapping_lut(scaled.color_trc), "rgb48le")
    return two_input_graph(scaled, cube, ("haldclut", "interp=tetrahedral"), ("format", "rgb24"))


def tone_mapping_lut(transfer: int) -> NDArray[np.uint16]:
    """Return the 3D LUT as a Hald image: uint16 (216, 216, 3) RGB (red runs fastest, blue slowest)."""
    steps = np.linspace(0, 1, _LEVEL**2)
    blue, green, red = np.meshgrid(steps, steps, steps, indexing="ij")
    code = np.stack([red, green, blue], axis=-1).reshape(-1, 3)
    light = _pq_light(code) if transfer == PQ else _hlg_light(code)
    rgb = np.clip(light / _WHITE @ _BT2020_TO_BT709.T, 0, None)
    peak = rgb.max(axis=1, keepdims=True)
    over = np.maximum(peak - _KNEE, 0) / (1 - _KNEE)
    bent = np.where(peak > _KNEE, _KNEE + (1 - _KNEE) * over / (1 + over), peak)
    rgb *= bent / np.maximum(peak, 1e-9)
    coded = np.where(rgb <= 0.0031308, 12.92 * rgb, 1.055 * np.maximum(rgb, 1e-9) ** (1 / 2.4) - 0.055)
    cube: NDArray[np.uint16] = (coded * 65535 + 0.5).astype(np.uint16).reshape(_LEVEL**3, _LEVEL**3, 3)
    return cube


def _pq_light(code: NDArray[np.float64]) -> NDArray[np.float64]:
    """Light in cd/m2 of PQ code values (BT.2100 table 4)."""
    root = code ** (32 / 2523)
    return 10_000 * (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (8192 / 1305)


def _hlg_light(code: NDArray[np.float64]) -> NDArray[np.float64]:
    """Light in cd/m2 of HLG code values on a display of 1000 cd/m2 (BT.2100 table 5)."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
    luminance = np.maximum(scene @ _LUMA_2020, 1e-9)
    return np.asarray(_HLG_PEAK * luminance[:, None] ** 0.2 * scene)
