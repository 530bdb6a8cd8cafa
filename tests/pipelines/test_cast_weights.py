"""The memory-mapped copy of a transformer: no partial copy is left."""

from pathlib import Path

import pytest
import torch

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import Cancelled
from fantasyportrait.core.locked_folder import WORK_PREFIX, locked_folder
from fantasyportrait.pipelines.cast_weights import cast_folder
from fantasyportrait.testing.tiny import tiny_transformer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A transformer in several shards."""
    tiny_transformer().save_pretrained(tmp_path / "transformer", max_shard_size="100KB")
    return tmp_path / "transformer"


def make(folder: Path, cancel: CancelToken | None = None) -> Path:
    return cast_folder(folder, torch.bfloat16, lambda _: None, cancel)


def test_cast_weights_cancels_between_shards(folder: Path) -> None:
    class CancelAtThirdCheck(CancelToken):
        checks = 0

        def check(self) -> None:
            self.checks += 1
            if self.checks == 3:
                self.cancel()
            super().check()

    token = CancelAtThirdCheck()
    with pytest.raises(Cancelled):
        make(folder, token)
    assert token.checks == 3 and [path.name for path in folder.parent.iterdir()] == ["transformer"]
    assert len(list(make(folder).glob("*.safetensors"))) == len(list(folder.glob("*.safetensors"))) > 3


def test_cast_weights_removes_only_stale_copies(folder: Path) -> None:
    left = folder.with_name(f"{WORK_PREFIX}0123456789ab")
    (left / "transformer-bfloat16").mkdir(parents=True)
    for name in ("owner.lock", "transformer-bfloat16/shard"):
        (left / name).touch()
    with locked_folder(folder.parent) as living:
        make(folder)
        assert sorted(path.name for path in folder.parent.iterdir()) == [
            living.name, "transformer", "transformer-bfloat16",
        ]  # fmt: skip
