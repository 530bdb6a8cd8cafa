"""Streaming decode equals the VAE's own, in less memory; encoding is normalised; the preview map is fitted."""

import weakref

import accelerate
import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLWan

from fantasyportrait.pipelines.latent_preview import fit_rgb_factors, latents_to_rgb
from fantasyportrait.pipelines.vae_latents import decode_stream, decode_with_fallback, encode_video, vae_on_cpu
from fantasyportrait.testing.tiny import tiny_vae


@pytest.fixture(scope="module")
def vae() -> AutoencoderKLWan:
    return tiny_vae()


def whole(vae: AutoencoderKLWan, latents: torch.Tensor) -> np.ndarray:
    """Frames by the VAE's own decode, which holds the clip."""
    mean, std = (torch.tensor(v).view(1, -1, 1, 1, 1) for v in (vae.config.latents_mean, vae.config.latents_std))
    video = vae.decode(latents * std + mean).sample[0]
    return ((video + 1) * 127.5).round().permute(1, 2, 3, 0).to(torch.uint8).numpy()


@torch.no_grad()
def test_stream_decode_equals_vae_decode(vae: AutoencoderKLWan) -> None:
    latents = torch.randn(1, 16, 4, 6, 8, generator=torch.Generator().manual_seed(0))
    chunks = list(decode_stream(vae, latents))
    assert [len(chunk) for chunk in chunks] == [1, 4, 4, 4]
    np.testing.assert_array_equal(np.concatenate(chunks), whole(vae, latents))


@torch.no_grad()
def test_tiled_decode_has_no_seams() -> None:
    """Against the untiled frames: close everywhere, and no step at a tile's border."""
    vae = tiny_vae()
    coarse = torch.randn(1, 16, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    latents = torch.nn.functional.interpolate(coarse, size=(2, 16, 16), mode="trilinear")
    plain = np.concatenate(list(decode_stream(vae, latents))).astype(int)
    vae.enable_tiling(
        tile_sample_min_height=64, tile_sample_min_width=64, tile_sample_stride_height=48, tile_sample_stride_width=48
    )
    tiled = np.concatenate(list(decode_stream(vae, latents))).astype(int)
    assert tiled.shape == plain.shape == (5, 128, 128, 3)
    assert (tiled != plain).any()
    assert np.abs(tiled - plain).mean() < 0.1 * plain.std()


@torch.no_grad()
def test_stream_decode_frees_previous_chunks(vae: AutoencoderKLWan) -> None:
    """The VAE's own decode holds every frame; here at most the chunk given away last is alive."""
    made: list[weakref.ref[torch.Tensor]] = []
    handle = vae.decoder.register_forward_hook(lambda module, args, out: made.append(weakref.ref(out)))
    alive = []
    for _ in decode_stream(vae, torch.randn(1, 16, 6, 4, 4)):
        alive.append(sum(out() is not None for out in made))
    handle.remove()
    assert len(made) == 6 and max(alive) <= 1


@torch.no_grad()
def test_encode_normalises_latents(vae: AutoencoderKLWan) -> None:
    video = torch.rand(1, 3, 5, 32, 48) * 2 - 1
    latents = encode_video(vae, video)
    mean, std = (torch.tensor(v).view(1, -1, 1, 1, 1) for v in (vae.config.latents_mean, vae.config.latents_std))
    torch.testing.assert_close(latents * std + mean, vae.encode(video).latent_dist.mode())
    assert latents.shape == (1, 16, 2, 4, 6)


def test_fitted_preview_map_recovers_latent_colours(vae: AutoencoderKLWan, monkeypatch: pytest.MonkeyPatch) -> None:
    """A random VAE's latents carry no colours, so here they are a linear mixture of them: the map must undo it."""
    mix = torch.randn(3, 16, generator=torch.Generator().manual_seed(3))

    def encode(vae: AutoencoderKLWan, video: torch.Tensor) -> torch.Tensor:
        pooled = torch.nn.functional.avg_pool2d(video[:, :, 0], vae.config.scale_factor_spatial)
        return torch.einsum("bchw,cd->bdhw", pooled, mix)[:, :, None] + 0.7

    monkeypatch.setattr("fantasyportrait.pipelines.latent_preview.encode_video", encode)
    picture = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(9))
    guess = latents_to_rgb(encode(vae, 2 * picture[:, :, None] - 1), fit_rgb_factors(vae)).astype(float)
    truth = torch.nn.functional.avg_pool2d(picture, 8)[0].permute(1, 2, 0).numpy() * 255
    np.testing.assert_allclose(guess, truth, atol=1.0)


@torch.no_grad()
def test_stream_decode_out_of_memory_continues_in_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """The third latent frame does not fit: decoding goes on in tiles, and no frame is lost or given twice."""
    vae = tiny_vae()
    latents = torch.randn(1, 16, 4, 6, 8, generator=torch.Generator().manual_seed(0))
    plain = np.concatenate(list(decode_stream(vae, latents)))
    calls = []
    real = type(vae.decoder).forward

    def full(self: torch.nn.Module, *args: object, **kwargs: object) -> torch.Tensor:
        calls.append(1)
        if len(calls) == 3:
            raise torch.OutOfMemoryError("no room")
        return real(self, *args, **kwargs)

    monkeypatch.setattr(type(vae.decoder), "forward", full)
    frames = np.concatenate(list(decode_with_fallback(vae, latents)))
    assert vae.use_tiling and len(calls) > 6
    np.testing.assert_array_equal(frames, plain)  # smaller than one tile, so the same numbers


@torch.no_grad()
def test_tiled_decode_out_of_memory_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: torch.nn.Module, *args: object, **kwargs: object) -> torch.Tensor:
        raise torch.OutOfMemoryError("no room")

    vae = tiny_vae()
    monkeypatch.setattr(type(vae.decoder), "forward", full)
    with pytest.raises(torch.OutOfMemoryError):
        list(decode_with_fallback(vae, torch.randn(1, 16, 2, 4, 4)))
    vae = tiny_vae()
    monkeypatch.setattr(type(vae.encoder), "forward", full)
    with pytest.raises(torch.OutOfMemoryError):
        encode_video(vae, torch.zeros(1, 3, 1, 32, 32))
    assert vae.use_tiling and vae.tile_sample_min_height == 128


@torch.no_grad()
def test_encode_out_of_memory_continues_in_tiles() -> None:
    vae, video = tiny_vae(), torch.rand(1, 3, 5, 160, 160, generator=torch.Generator().manual_seed(0))
    sides: list[int] = []

    def full(module: torch.nn.Module, args: tuple[torch.Tensor, ...]) -> None:
        sides.append(args[0].shape[-1])
        if len(sides) <= 2:
            raise torch.OutOfMemoryError("no room")

    plain = encode_video(vae, video)
    vae.encoder.register_forward_pre_hook(full)
    with pytest.raises(torch.OutOfMemoryError):
        encode_video(vae, video, alone=False)
    assert sides == [160] and not vae.use_tiling
    sides.clear()
    found = encode_video(vae, video)
    assert sides[:2] == [160, 160] and max(sides[2:]) == 128
    assert found.shape == plain.shape and (found - plain).abs().mean() < 0.1 * plain.std()


@torch.no_grad()
@pytest.mark.parametrize("offloaded", [False, True])
def test_vae_on_cpu_gives_same_frames(offloaded: bool) -> None:
    """Also for an offloaded VAE, which stays offloaded."""
    vae = tiny_vae(seed=3)
    latents = torch.randn(1, 16, 2, 6, 8, generator=torch.Generator().manual_seed(0))
    expected = np.concatenate(list(decode_stream(vae, latents)))
    if offloaded:
        accelerate.cpu_offload(vae, execution_device=torch.device("cpu"))
    other = vae_on_cpu(vae)
    assert other is not vae and other.use_tiling and not vae.use_tiling
    for each in (other, vae):
        np.testing.assert_array_equal(np.concatenate(list(decode_stream(each, latents))), expected)
    assert all(weight.is_meta for weight in vae.parameters()) is offloaded
