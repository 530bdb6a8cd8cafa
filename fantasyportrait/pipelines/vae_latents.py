"""Encoding to normalised latents and streamed decoding with Wan's causal VAE, in tiles where memory is short."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from accelerate.utils.modeling import get_state_dict_offloaded_model
from diffusers import AutoencoderKLWan
from diffusers.utils.torch_utils import get_module_execution_device
from numpy.typing import NDArray

from fantasyportrait.models.diffusers_compat import causal_cache, onload
from fantasyportrait.runtime.memory import free_memory, is_out_of_memory

# Pixels. Half of the VAE's default; smaller tiles would be mostly overlap.
_SMALLEST_TILE = 128


def encode_video(vae: AutoencoderKLWan, video: torch.Tensor, alone: bool = True) -> torch.Tensor:
    """Normalised float32 latents (B, 16, F_lat, H / 8, W / 8) of a video (B, 3, F, H, W) in -1 to 1.

    If memory runs out it falls back to tiles, then to small tiles; only if `alone`, since all ranks of a process group
    need the same latents.
    """
    video = video.to(get_module_execution_device(vae), vae.dtype)
    while True:
        try:
            latents = vae.encode(video).latent_dist.mode().float()
            break
        except RuntimeError as error:
            vae.clear_cache()
            if not (alone and is_out_of_memory(error)) or _at_smallest_tiles(vae):
                raise
        _reduce_tiles(vae)  # outside of the handler, whose exception keeps tensors alive
    mean, std = _statistics(vae, latents)
    return (latents - mean) / std


@contextmanager
def vae_tiling(vae: AutoencoderKLWan, enabled: bool) -> Iterator[None]:
    """Inside, the VAE may fall back to tiles, and uses them from the start if `enabled`.

    Afterwards its settings are restored, since tiles would change the results of the next video.
    """
    tiles = (vae.tile_sample_min_height, vae.tile_sample_min_width)
    strides = (vae.tile_sample_stride_height, vae.tile_sample_stride_width)
    tiled = vae.use_tiling
    if enabled and not tiled:
        vae.enable_tiling()
    try:
        yield
    finally:
        vae.enable_tiling(*tiles, *strides)
        if not tiled:
            vae.disable_tiling()


def vae_on_cpu(vae: AutoencoderKLWan) -> AutoencoderKLWan:
    """A copy of the VAE on the CPU, whatever offloading the VAE has; it decodes in tiles."""
    other = AutoencoderKLWan.from_config(vae.config).eval()
    layer_by_layer = any(weight.is_meta for weight in vae.parameters())
    weights = get_state_dict_offloaded_model(vae) if layer_by_layer else vae.state_dict()
    other.load_state_dict({name: weight.cpu() for name, weight in weights.items()}, assign=True)
    other.enable_tiling()
    return other


def decode_with_fallback(vae: AutoencoderKLWan, latents: torch.Tensor) -> Iterator[NDArray[np.uint8]]:
    """`decode_stream`, which falls back to tiles, then to small tiles, if memory runs out."""
    given = 0
    while True:
        try:
            # From the beginning, since the causal layers' caches are kept tile by tile.
            for frames in itertools.islice(decode_stream(vae, latents), given, None):
                yield frames
                given += 1
            return
        except RuntimeError as error:
            if not is_out_of_memory(error) or _at_smallest_tiles(vae):
                raise
        _reduce_tiles(vae)


def decode_stream(vae: AutoencoderKLWan, latents: torch.Tensor) -> Iterator[NDArray[np.uint8]]:
    """Frames uint8 (n, H, W, 3) RGB of normalised latents (1, 16, F_lat, h, w): 1 frame, then 4 at a time.

    The VAE's own `decode` keeps the whole clip in memory; here each latent frame is decoded, yielded and freed. With
    tiling (`vae.enable_tiling()`), each tile has its own causal cache, kept on the CPU while other tiles are decoded,
    and tiles are blended.
    """
    device = get_module_execution_device(vae)
    mean, std = _statistics(vae, latents.float())
    latents = latents.float() * std + mean
    onload(vae)  # `encode` and `decode` would do it, but neither is called
    tiles = _tiles(vae, latents.shape[-2], latents.shape[-1])
    caches: list[list[torch.Tensor | None]] = []
    for _ in tiles:
        vae.clear_cache()
        caches.append(causal_cache(vae))
    try:
        for index in range(latents.shape[2]):
            frame = latents[:, :, index : index + 1].to(device, vae.dtype)
            yield _pixels(_decode_tiles(vae, frame, tiles, caches, first=index == 0))
    finally:
        vae.clear_cache()


@dataclass(frozen=True)
class _LatentTile:
    """A tile of a latent frame, and its blend weights (h * 8,) and (w * 8,)."""

    rows: slice
    columns: slice
    row_weight: torch.Tensor
    column_weight: torch.Tensor


def _decode_tiles(
    vae: AutoencoderKLWan,
    frame: torch.Tensor,
    tiles: list[_LatentTile],
    caches: list[list[torch.Tensor | None]],
    first: bool,
) -> torch.Tensor:
    """One latent frame (1, 16, 1, h, w) as a video (3, 1 or 4, H, W) in -1 to 1."""
    scale = vae.config.scale_factor_spatial
    height, width = frame.shape[-2] * scale, frame.shape[-1] * scale
    total = torch.zeros(height, width, device=frame.device)
    out: torch.Tensor | None = None
    for number, tile in enumerate(tiles):
        part = vae.post_quant_conv(frame[..., tile.rows, tile.columns])
        # The caches of all tiles take as much as the whole frame, so only one is on the device at a time.
        cache = caches[number] if len(tiles) == 1 else _moved(caches[number], frame.device)
        decoded = vae.decoder(part, feat_cache=cache, feat_idx=[0], first_chunk=first)[0].float()
        caches[number] = cache if len(tiles) == 1 else _moved(cache, torch.device("cpu"))
        if out is None:
            out = torch.zeros(*decoded.shape[:2], height, width, device=frame.device)
        weight = (tile.row_weight[:, None] * tile.column_weight[None]).to(frame.device)
        area = tuple(slice(span.start * scale, span.stop * scale) for span in (tile.rows, tile.columns))
        out[:, :, area[0], area[1]] += decoded * weight
        total[area] += weight
    if out is None:
        raise ValueError("latents have no tiles: give at least one row and column")
    return out / total


def _moved(cache: list[torch.Tensor | None], device: torch.device) -> list[torch.Tensor | None]:
    """A causal cache on that device; entries that are no tensors are the VAE's flags."""
    return [entry.to(device) if isinstance(entry, torch.Tensor) else entry for entry in cache]


def _tiles(vae: AutoencoderKLWan, rows: int, columns: int) -> list[_LatentTile]:
    """Tiles of the VAE's size and stride if tiling is on; else one tile."""
    scale = vae.config.scale_factor_spatial
    sides = (vae.tile_sample_min_height // scale, vae.tile_sample_min_width // scale)
    strides = (vae.tile_sample_stride_height // scale, vae.tile_sample_stride_width // scale)
    if not vae.use_tiling:
        sides, strides = (rows, columns), (rows, columns)
    spans = [_spans(length, side, stride) for length, side, stride in zip((rows, columns), sides, strides, strict=True)]
    overlaps = [(side - stride) * scale for side, stride in zip(sides, strides, strict=True)]
    return [
        _LatentTile(row, column, _ramp(row, rows, overlaps[0], scale), _ramp(column, columns, overlaps[1], scale))
        for row, column in itertools.product(*spans)
    ]


def _spans(length: int, side: int, stride: int) -> list[slice]:
    """Slices of length `side` every `stride`; the last one is moved back to end with the frame."""
    if length <= side:
        return [slice(0, length)]
    starts = [*range(0, length - side, stride), length - side]
    return [slice(start, start + side) for start in starts]


def _ramp(span: slice, length: int, overlap: int, scale: int) -> torch.Tensor:
    """Blend weights along one side of a tile: 1, with ramps at the edges inside the frame."""
    weight = torch.ones((span.stop - span.start) * scale)
    rise = (torch.arange(overlap) + 0.5) / max(overlap, 1)
    if span.start > 0:
        weight[:overlap] = rise
    if span.stop < length:
        weight[len(weight) - overlap :] = rise.flip(0)
    return weight


def _pixels(video: torch.Tensor) -> NDArray[np.uint8]:
    frames = ((video.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return np.asarray(frames.permute(1, 2, 3, 0).contiguous().cpu().numpy())


def _reduce_tiles(vae: AutoencoderKLWan) -> None:
    """Turn tiling on, or make the tiles smaller."""
    vae.clear_cache()
    free_memory()
    if not vae.use_tiling:
        vae.enable_tiling()
        return
    side, stride = _SMALLEST_TILE, _SMALLEST_TILE * 3 // 4
    vae.enable_tiling(side, side, stride, stride)


def _at_smallest_tiles(vae: AutoencoderKLWan) -> bool:
    return vae.use_tiling and vae.tile_sample_min_height <= _SMALLEST_TILE


def _statistics(vae: AutoencoderKLWan, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    def column(values: list[float]) -> torch.Tensor:
        return torch.tensor(values, dtype=like.dtype, device=like.device).view(1, -1, 1, 1, 1)

    return column(vae.config.latents_mean), column(vae.config.latents_std)
