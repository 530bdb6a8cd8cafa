"""Streaming without a GPU: diffusers' own hooks with a fake stream whose copies arrive at synchronization."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.hooks import group_offloading
from diffusers.hooks.group_offloading import ModuleGroup

from fantasyportrait.models.transformer import FantasyPortraitTransformer3DModel
from fantasyportrait.pipelines.portrait_pipeline import FantasyPortraitPipeline
from fantasyportrait.runtime.offload import apply_offload
from fantasyportrait.runtime.profiles import Offload
from fantasyportrait.schema.sampling import Sampling
from fantasyportrait.testing.tiny import tiny_transformer_config
from tests.pipelines.conftest import base_folder, driven, image, pipeline

__all__ = ["base_folder", "image", "pipeline"]  # fixtures

BLOCKS = 3
# A device of a name of its own; where the fakes put what is sent there, it is in the same memory.
GPU = torch.device("meta")


class Stream:
    """A fake stream that runs its queued work at synchronization."""

    def __init__(self) -> None:
        self.ordered: list[Callable[[], object]] = []

    def synchronize(self) -> None:
        while self.ordered:
            self.ordered.pop(0)()


class Backend:
    """A fake of the parts of torch.cuda that streaming uses."""

    Stream = Stream

    def __init__(self, device: torch.device) -> None:
        assert device == GPU

    def stream(self, stream: Stream) -> AbstractContextManager[None]:
        return nullcontext()

    def current_stream(self) -> Stream:
        return Stream()


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The events of the transformer's blocks in order: "comes 0", "works 0", "goes 0"."""
    seen: list[str] = []

    class Group(ModuleGroup):
        """A group whose GPU copies are separate tensors, filled with NaN until they arrive."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self.group_id = kwargs["group_id"]
            super().__init__(*args, **kwargs)
            if self.stream is not None:
                # Host and GPU are one memory here, so a tensor's device does not tell where it is: no group is home.
                self.offload_device = GPU

        def _note(self, what: str) -> None:
            if self.group_id.startswith("blocks_"):
                seen.append(f"{what} {self.group_id.split('_')[1]}")

        def onload_(self) -> None:
            self._note("comes")
            super().onload_()

        def offload_(self) -> None:
            self._note("goes")
            super().offload_()

        def _transfer_tensor_to_device(self, tensor: torch.Tensor, source: torch.Tensor, stream: object) -> None:
            tensor.data = torch.full_like(source, float("nan")) if source.is_floating_point() else source.clone()
            if self.stream is None or not self.non_blocking:
                tensor.data.copy_(source)
            else:
                self.stream.ordered.append(lambda arriving=tensor.data: arriving.copy_(source))

    monkeypatch.setattr(group_offloading, "ModuleGroup", Group)
    monkeypatch.setattr(group_offloading, "TorchDeviceBackend", Backend)
    monkeypatch.setattr(group_offloading, "send_to_device", lambda given, *_, **__: given)
    monkeypatch.setattr(group_offloading, "_get_group_onload_device", lambda module: torch.device("cpu"))
    return seen


@pytest.fixture(autouse=True)
def pinned(monkeypatch: pytest.MonkeyPatch) -> dict[int, torch.Tensor]:
    """The pinned tensors by address."""
    found: dict[int, torch.Tensor] = {}

    def pin(self: torch.Tensor) -> torch.Tensor:
        copy = self.clone()
        return found.setdefault(copy.data_ptr(), copy)

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)
    monkeypatch.setattr(torch.Tensor, "is_pinned", lambda self: self.data_ptr() in found)
    return found


@pytest.fixture
def longer(pipeline: FantasyPortraitPipeline) -> FantasyPortraitPipeline:
    """The tiny model with enough blocks for one to be offloaded."""
    torch.manual_seed(0)
    pipeline.transformer = FantasyPortraitTransformer3DModel(
        **tiny_transformer_config() | {"num_layers": BLOCKS}, motion_dim=64
    ).eval()
    return pipeline


def latents(pipeline: FantasyPortraitPipeline, image: np.ndarray) -> torch.Tensor:
    sampling = Sampling(num_inference_steps=2, seed=1)
    return pipeline(image, [driven(1, 5)], num_frames=5, sampling=sampling, output_type="latent").frames


@pytest.mark.parametrize("offload", ["stream", "disk"])
def test_streaming_prefetches_next_block(
    longer: FantasyPortraitPipeline,
    image: np.ndarray,
    events: list[str],
    pinned: dict[int, torch.Tensor],
    offload: Offload,
) -> None:
    """From the second pass on the next block is on its way while one works, at most two are there, and every number
    has arrived in time: one that had not would be no number in the result. Memory is pinned once, or (from a mapped
    file) for each copy."""
    expected = latents(longer, image)
    frames = np.concatenate(list(longer.decode(expected)))
    apply_offload(longer, offload, GPU)
    for number, block in enumerate(longer.transformer.blocks):
        block.attn1.register_forward_pre_hook(lambda *_, number=number: events.append(f"works {number}"))
    events.clear()
    at_first = len(pinned)
    assert (at_first > 0) is (offload == "stream")
    torch.testing.assert_close(latents(longer, image), expected, rtol=0, atol=0)
    one_by_one = [f"{what} {block}" for block in range(BLOCKS) for what in ("comes", "works", "goes")]
    ahead = ["comes 0", "comes 1", "works 0", "goes 0", "comes 2", "works 1", "goes 1", "works 2", "goes 2"]
    assert events == one_by_one + 3 * ahead, "four passes: two steps of two"
    assert (len(pinned) > at_first) is (offload == "disk")
    np.testing.assert_array_equal(np.concatenate(list(longer.decode(expected))), frames)
