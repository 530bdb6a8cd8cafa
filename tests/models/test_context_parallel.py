"""Two processes share one forward pass; their border splits a latent frame."""

from pathlib import Path

import pytest
import torch
import torch.distributed as distributed
from diffusers import ContextParallelConfig

from tests.models.factories import GRID, tiny_inputs, tiny_labels, tiny_motion, tiny_transformer
from tests.models.test_motion_attention import key_mask
from tests.processes import start_processes

WORLD = 2


def _forward(parallel: bool) -> torch.Tensor:
    model = tiny_transformer()
    if parallel:
        model.enable_parallelism(config=ContextParallelConfig(ulysses_degree=WORLD))
    motion = tiny_motion(2)
    mask = key_mask(tiny_labels(2), [1, 2])
    with torch.no_grad():
        return model(**tiny_inputs(), motion_hidden_states=motion, motion_attention_mask=mask, return_dict=False)[0]


def _work(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    # diffusers asks how many accelerators there are, and divides by the number.
    torch.accelerator.device_count = lambda: 1
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=WORLD)
    try:
        torch.save(_forward(parallel=True), f"{folder}/{rank}.pt")
    finally:
        distributed.destroy_process_group()


@pytest.mark.torchrun
def test_context_parallel_forward_equals_single_process(tmp_path: Path) -> None:
    frames, rows, columns = GRID
    share = frames * rows * columns // WORLD
    assert share % (rows * columns), "the border must lie inside a latent frame"
    start_processes(_work, (str(tmp_path),), WORLD)
    expected = _forward(parallel=False)
    for rank in range(WORLD):
        out = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-5)
