"""The adapter's original files: read without running code, checked key by key."""

import pickle
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from fantasyportrait.core.errors import WeightsError  # noqa: E402
from fantasyportrait.weights.convert import convert_tensors  # noqa: E402
from fantasyportrait.weights.original_files import (  # noqa: E402
    ADAPTER_PICKLE,
    ENCODER_PICKLE,
    REPACK,
    adapter_files,
    read_original,
)
from tests.weights.original import (  # noqa: E402
    original_adapter,
    original_encoder,
    tiny_networks,
    write_pickles,
    write_repack,
)


class Harmful:
    """A pickle that would create a file when it is opened."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.trace,)


def test_the_pickles_hold_the_three_parts(tmp_path: Path) -> None:
    original = read_original(write_pickles(tmp_path))
    groups = original_adapter()
    assert original.motion_attention.keys() == groups["ip_adapter"].keys()
    assert len(original.motion_adapter) == sum(len(groups[name]) for name in groups if name != "ip_adapter")
    assert torch.equal(original.motion_adapter["proj_model.norm.weight"], groups["proj_model"]["norm.weight"])
    assert original.motion_encoder.keys() == original_encoder().keys()
    assert (original.adapter_file.name, original.encoder_file.name) == (ADAPTER_PICKLE, ENCODER_PICKLE)


def test_repack_equals_pickles(tmp_path: Path) -> None:
    pickles, repack = read_original(write_pickles(tmp_path / "a")), read_original(write_repack(tmp_path / "b"))
    for part in ("motion_adapter", "motion_attention", "motion_encoder"):
        assert getattr(repack, part).keys() == getattr(pickles, part).keys()
    networks = tiny_networks()
    adapter = convert_tensors(
        "motion_adapter", repack.adapter_file, repack.motion_adapter, networks.motion_adapter.shapes
    )
    assert {tensor.dtype for tensor in adapter.values()} == {torch.float32}
    encoder = convert_tensors(
        "motion_encoder", repack.encoder_file, repack.motion_encoder, networks.motion_encoder.shapes
    )
    assert encoder["heads.eyes.2.num_batches_tracked"].dtype == torch.int64


def test_pickle_before_torch_1_6_is_read(tmp_path: Path) -> None:
    write_pickles(tmp_path)
    torch.save(original_encoder(), tmp_path / ENCODER_PICKLE, _use_new_zipfile_serialization=False)
    read = read_original(tmp_path).motion_encoder
    assert torch.equal(read["to_eye.0.weight"], original_encoder()["to_eye.0.weight"])


@pytest.mark.parametrize("name", [ADAPTER_PICKLE, ENCODER_PICKLE])
@pytest.mark.parametrize("with_torch", [True, False])
def test_a_pickle_that_would_run_code_is_refused(name: str, with_torch: bool, tmp_path: Path) -> None:
    write_pickles(tmp_path)
    trace = tmp_path / "it ran"
    content = {"proj_model": Harmful(trace)}
    if with_torch:
        torch.save(content, tmp_path / name)
    else:
        (tmp_path / name).write_bytes(pickle.dumps(content))
    with pytest.raises(WeightsError, match=f"{name} is refused: .* could run code") as caught:
        read_original(tmp_path)
    assert "\n" not in str(caught.value)
    assert not trace.exists()


@pytest.mark.parametrize("name", [ADAPTER_PICKLE, ENCODER_PICKLE])
def test_half_a_pickle_is_refused(name: str, tmp_path: Path) -> None:
    write_pickles(tmp_path)
    whole = (tmp_path / name).read_bytes()
    for damaged in (whole[: len(whole) // 2], b""):
        (tmp_path / name).write_bytes(damaged)
        with pytest.raises(WeightsError, match=f"{name} .*(refused|cannot be read)") as caught:
            read_original(tmp_path)
        assert "\n" not in str(caught.value)


def test_half_a_repack_is_refused(tmp_path: Path) -> None:
    path = write_repack(tmp_path) / "FantasyPortrait" / REPACK
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(WeightsError, match=f"{REPACK} has .* damaged"):
        read_original(tmp_path)


def test_another_layout_of_dicts_is_refused_by_name(tmp_path: Path) -> None:
    groups: dict[str, object] = dict(original_adapter())
    del groups["emo_proj_model"]
    groups["epoch"] = 3
    write_pickles(tmp_path, adapter=groups)
    with pytest.raises(WeightsError, match="lacks the dict emo_proj_model, it has an unexpected epoch"):
        read_original(tmp_path)


def test_what_is_no_tensor_is_refused_by_name(tmp_path: Path) -> None:
    write_pickles(tmp_path, encoder={**original_encoder(), "epoch": 3})
    with pytest.raises(WeightsError, match=rf"{ENCODER_PICKLE} holds what is no tensor: epoch \(int\)"):
        read_original(tmp_path)
    write_pickles(tmp_path, encoder=[1])
    with pytest.raises(WeightsError, match="holds a list"):
        read_original(tmp_path)


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=f"lacks {ADAPTER_PICKLE} and {ENCODER_PICKLE} .*fetch the model again"):
        adapter_files(tmp_path)
    (write_pickles(tmp_path) / ENCODER_PICKLE).unlink()
    with pytest.raises(WeightsError, match=f"lacks {ENCODER_PICKLE} "):
        adapter_files(tmp_path)


def test_one_error_names_missing_extra_and_misshapen_tensors() -> None:
    shapes = {key: shape for key, shape in tiny_networks().transformer.shapes.items() if "_motion." in key}
    attention = original_adapter()["ip_adapter"]
    name = "blocks.{}.cross_attn.processor.ip_adapter_single_stream_{}_proj.weight"
    del attention[name.format(1, "k")]
    attention[name.format(2, "v")] = torch.zeros(64, 64)
    attention[name.format(0, "v")] = torch.zeros(64, 63)
    with pytest.raises(WeightsError) as caught:
        convert_tensors("motion_attention", Path("some.ckpt"), attention, shapes)
    assert str(caught.value) == (
        f"some.ckpt is not the model that is expected here; missing: {name.format(1, 'k')} (64, 64); "
        f"unexpected: {name.format(2, 'v')} (64, 64); "
        f"of another shape: {name.format(0, 'v')} (64, 63) instead of (64, 64)"
    )


def test_an_unknown_key_is_named_with_its_file() -> None:
    encoder = original_encoder() | {"to_nose.0.weight": torch.zeros(1)}
    with pytest.raises(WeightsError, match=r"pd_fpg.pth: the original motion encoder has no to_nose\.0\.weight"):
        convert_tensors("motion_encoder", Path("pd_fpg.pth"), encoder, tiny_networks().motion_encoder.shapes)
    strange = original_encoder() | {"model.conv9.weight": torch.zeros(1)}
    with pytest.raises(WeightsError, match=r"unexpected: model\.conv9\.weight \(1,\)"):
        convert_tensors("motion_encoder", Path("pd_fpg.pth"), strange, tiny_networks().motion_encoder.shapes)
