"""Pictures to latents and back with Wan's causal VAE: normalised latents, decoding that streams."""

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

# Pixels. Half of the VAE's own; smaller ones would be mostly overlap.
_SMALLEST_TILE = 128


def encode_video(vae: AutoencoderKLWan, video: torch.Tensor, alone: bool = True) -> torch.Tensor:
    """Normalised float32 latents (B, 16, F_lat, H / 8, W / 8) of a video (B, 3, F, H, W) in -1 to 1.

    It goes on in tiles, then in small ones, where the video does not fit into memory; not unless `alone`: processes
    that share the steps must all have the same numbers.
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
        _reduce_tiles(vae)  # outside of the handler, which keeps alive what did not fit
    mean, std = _statistics(vae, latents)
    return (latents - mean) / std


@contextmanager
def vae_tiling(vae: AutoencoderKLWan, enabled: bool) -> Iterator[None]:
    """Inside, the VAE may take to tiles where memory runs out, and does at once if `enabled`.

    Afterwards it works as before: tiles that one video needed would change the numbers of the next one.
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
    """Another VAE with the same numbers on the CPU, wherever offloading keeps this one's; it decodes in tiles."""
    other = AutoencoderKLWan.from_config(vae.config).eval()
    layer_by_layer = any(weight.is_meta for weight in vae.parameters())
    weights = get_state_dict_offloaded_model(vae) if layer_by_layer else vae.state_dict()
    other.load_state_dict({name: weight.cpu() for name, weight in weights.items()}, assign=True)
    other.enable_tiling()
    return other


def decode_with_fallback(vae: AutoencoderKLWan, latents: torch.Tensor) -> Iterator[NDArray[np.uint8]]:
    """`decode_stream`, which goes on in tiles, then in small ones, where the picture does not fit into memory."""
    given = 0
    while True:
        try:
            # From the beginning: every frame needs what the causal layers keep of the ones before, tile by tile.
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

    The VAE's own `decode` grows the whole clip in memory; here each latent frame is decoded, given away and forgotten.
    With tiling switched on (`vae.enable_tiling()`) each tile keeps its own causal cache, on the CPU until its turn, and
    tiles are blended.
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
class _Tile:
    """A part of the latent picture, and the ramps (h * 8,) and (w * 8,) with which it is blended."""

    rows: slice
    columns: slice
    row_weight: torch.Tensor
    column_weight: torch.Tensor


def _decode_tiles(
    vae: AutoencoderKLWan,
    frame: torch.Tensor,
    tiles: list[_Tile],
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
        # Together the caches of all tiles take as much as the whole picture: only one is on the device at a time.
        cache = caches[number] if len(tiles) == 1 else _moved(caches[number], frame.device)
        decoded = vae.decoder(part, feat_cache=cache, feat_idx=[0], first_chunk=first)[0].float()
        caches[number] = cache if len(tiles) == 1 else _moved(cache, torch.device("cpu"))
        if out is None:
            out = torch.zeros(*decoded.shape[:2], height, width, device=frame.device)
        weight = (tile.row_weight[:, None] * tile.column_weight[None]).to(frame.device)
        place = tuple(slice(span.start * scale, span.stop * scale) for span in (tile.rows, tile.columns))
        out[:, :, place[0], place[1]] += decoded * weight
        total[place] += weight
    if out is None:
        raise ValueError("there is nothing to decode: the latents are empty")
    return out / total


def _moved(cache: list[torch.Tensor | None], device: torch.device) -> list[torch.Tensor | None]:
    """A causal cache on that device; entries that are no tensors are marks of the VAE's."""
    return [entry.to(device) if isinstance(entry, torch.Tensor) else entry for entry in cache]


def _tiles(vae: AutoencoderKLWan, rows: int, columns: int) -> list[_Tile]:
    """The VAE's own tile size and stride where tiling is on; else one tile."""
    scale = vae.config.scale_factor_spatial
    sides = (vae.tile_sample_min_height // scale, vae.tile_sample_min_width // scale)
    strides = (vae.tile_sample_stride_height // scale, vae.tile_sample_stride_width // scale)
    if not vae.use_tiling:
        sides, strides = (rows, columns), (rows, columns)
    spans = [_spans(length, side, stride) for length, side, stride in zip((rows, columns), sides, strides, strict=True)]
    overlaps = [(side - stride) * scale for side, stride in zip(sides, strides, strict=True)]
    return [
        _Tile(row, column, _ramp(row, rows, overlaps[0], scale), _ramp(column, columns, overlaps[1], scale))
        for row, column in itertools.product(*spans)
    ]


def _spans(length: int, side: int, stride: int) -> list[slice]:
    """Slices of `side` every `stride`, the last one pushed back to end with the picture."""
    if length <= side:
        return [slice(0, length)]
    starts = [*range(0, length - side, stride), length - side]
    return [slice(start, start + side) for start in starts]


def _ramp(span: slice, length: int, overlap: int, scale: int) -> torch.Tensor:
    """Weights of a tile's pixels: 1, and falling to the edges that lie inside the picture."""
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
    """Go on in tiles, or in smaller ones."""
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
