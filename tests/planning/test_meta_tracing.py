"""Bytes and operations of computations that are counted by hand."""

import torch
from torch.nn import functional

from fantasyportrait.planning.meta_tracing import meta_tensors, trace

KIB = 1024


def new(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.empty(shape, dtype=dtype)


def test_meta_tracing_counts_live_tensors_only() -> None:
    with meta_tensors():
        given = new(256, KIB)  # 1 MiB, there before

        def work() -> torch.Tensor:
            first = given + 1
            second = first * 2
            del first
            view = second.view(-1)[10:]  # no memory of its own
            third = view + 1
            del second, view
            return third

        found = trace(work)
    assert 2 * KIB * KIB - 64 <= found.peak <= 2 * KIB * KIB + KIB
    assert KIB * KIB - 64 <= found.held <= KIB * KIB
    assert found.flop == 0


def test_meta_tracing_counts_matmul_and_convolution_work() -> None:
    with meta_tensors():
        left, right, bias = new(8, 16), new(32, 16), new(32)
        assert trace(lambda: functional.linear(left, right, bias)).flop == 2 * 8 * 16 * 32
        video, kernel = new(1, 4, 5, 8, 8), new(6, 4, 3, 3, 3)
        assert trace(lambda: functional.conv3d(video, kernel, padding=1)).flop == 2 * 5 * 64 * 6 * 4 * 27


def test_meta_tracing_counts_repeated_shapes() -> None:
    """Repeated operators allocate new tensors each time; in-place operators allocate none."""
    with meta_tensors():
        given = new(256, KIB)

        def work() -> list[torch.Tensor]:
            made = [(given.t() + 1).relu_() for _ in range(3)]
            assert all(each.stride() == made[0].stride() and each.shape == (KIB, 256) for each in made)
            return made

        found = trace(work)
        assert trace(lambda: [given + 1, given.double() + 1]).held == (4 + 8) * 256 * KIB
    assert found.held == 3 * KIB * KIB


def test_meta_tracing_attention_allocates_no_scores() -> None:
    with meta_tensors():
        query, key = (new(1, 2, n, 32, dtype=torch.bfloat16) for n in (512, 2048))
        mask = new(1, 1, 512, 2048, dtype=torch.bool)
        plain = trace(lambda: functional.scaled_dot_product_attention(query, key, key))
        masked = trace(lambda: functional.scaled_dot_product_attention(query, key, key, attn_mask=mask))
        # What flattens the heads again copies nothing: the kernels leave them side by side.
        flat = trace(lambda: functional.scaled_dot_product_attention(query, key, key).transpose(1, 2).flatten(2))
    out, sums, bias = 2 * 512 * 32 * 2, 2 * 512 * 4, 2 * (512 * 2048 * 2)
    assert plain.flop == masked.flop == 4 * 2 * 512 * 2048 * 32
    assert (plain.peak, masked.peak) == (out + sums, out + sums + bias)
    assert flat.peak == plain.peak and plain.held == out


def test_meta_tracing_excludes_host_tensors() -> None:
    with meta_tensors():
        given = new(KIB)

        def parked() -> torch.Tensor:
            made = given + 1
            away = made.cpu()
            del made
            return away

        assert trace(parked).held == 0
        assert trace(lambda: parked().to(given.device)).held == 4 * KIB
        assert trace(lambda: (given + 1).to("cpu")).held == 0
        assert trace(lambda: given.numpy()).peak == 0
