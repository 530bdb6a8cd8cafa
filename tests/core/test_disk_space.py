"""Free disk space is checked before a result is rendered."""

from collections import namedtuple
from pathlib import Path

import pytest

from fantasyportrait.core.disk_space import estimate_result_bytes
from fantasyportrait.core.errors import OutputError
from fantasyportrait.engines.preview import PreviewEngine
from fantasyportrait.schema.cast import BuiltinSource, Role
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.service.animator import Animator
from tests.conftest import Inputs


def test_result_larger_than_disk_is_refused_before_rendering(
    inputs: Inputs, tmp_path: Path, models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(10**9, 10**9 - 500_000, 500_000))
    monkeypatch.setattr(PreviewEngine, "render", lambda *_: pytest.fail("it was rendered"))
    request = AnimationRequest(inputs.photo, (Role(1, BuiltinSource("nod")),), duration=2.0)
    with pytest.raises(OutputError, match=r"the result out\.mp4 needs about [0-9.]+ MB in .*, where 0\.5 MB are free"):
        Animator(models_dir).animate(request, tmp_path / "out.mp4")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["out.mp4", "out.webm", "out.gif", "out"])
def test_result_stays_within_estimate(inputs: Inputs, tmp_path: Path, models_dir: Path, name: str) -> None:
    cast = (Role(1, BuiltinSource("shake")), Role(2, BuiltinSource("laugh")))
    request = AnimationRequest(inputs.pair, cast, duration=0.4)
    result = Animator(models_dir).animate(request, tmp_path / name)
    taken = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    height, width = Animator(models_dir).inputs.faces(inputs.pair)[0].pixels.shape[:2]
    suffix = (tmp_path / name).suffix
    asked = estimate_result_bytes(suffix, (width, height), result.frames, result.duration_s, side_by_side=True)
    assert taken < asked < 8_000_000 + 3 * taken
