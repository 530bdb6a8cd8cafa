"""The adapter's published files: read without running code, checked key by key."""

import pickle
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from fantasyportrait.core.errors import WeightsError  # noqa: E402
from fantasyportrait.weights.convert import checked  # noqa: E402
from fantasyportrait.weights.published_files import (  # noqa: E402
    ADAPTER_PICKLE,
    ENCODER_PICKLE,
    REPACK,
    adapter_files,
    read_published,
)
from tests.weights.published import (  # noqa: E402
    published_adapter,
    published_encoder,
    toy_networks,
    write_pickles,
    write_repack,
)


class Harmful:
    """A pickle that would make a file when it is opened."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.trace,)


def test_the_pickles_hold_the_three_parts(tmp_path: Path) -> None:
    published = read_published(write_pickles(tmp_path))
    groups = published_adapter()
    assert published.motion_attention.keys() == groups["ip_adapter"].keys()
    assert len(published.motion_adapter) == sum(len(groups[name]) for name in groups if name != "ip_adapter")
    assert torch.equal(published.motion_adapter["proj_model.norm.weight"], groups["proj_model"]["norm.weight"])
    assert published.motion_encoder.keys() == published_encoder().keys()
    assert (published.adapter_file.name, published.encoder_file.name) == (ADAPTER_PICKLE, ENCODER_PICKLE)


def test_the_repack_holds_the_same_under_the_same_names(tmp_path: Path) -> None:
    pickles, repack = read_published(write_pickles(tmp_path / "a")), read_published(write_repack(tmp_path / "b"))
    for part in ("motion_adapter", "motion_attention", "motion_encoder"):
        assert getattr(repack, part).keys() == getattr(pickles, part).keys()
    networks = toy_networks()
    adapter = checked("motion_adapter", repack.adapter_file, repack.motion_adapter, networks.motion_adapter.shapes)
    assert {tensor.dtype for tensor in adapter.values()} == {torch.float32}
    encoder = checked("motion_encoder", repack.encoder_file, repack.motion_encoder, networks.motion_encoder.shapes)
    assert encoder["heads.eyes.2.num_batches_tracked"].dtype == torch.int64


def test_a_file_of_before_torch_1_6_is_read(tmp_path: Path) -> None:
    write_pickles(tmp_path)
    torch.save(published_encoder(), tmp_path / ENCODER_PICKLE, _use_new_zipfile_serialization=False)
    read = read_published(tmp_path).motion_encoder
    assert torch.equal(read["to_eye.0.weight"], published_encoder()["to_eye.0.weight"])


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
        read_published(tmp_path)
    assert "\n" not in str(caught.value)
    assert not trace.exists()


@pytest.mark.parametrize("name", [ADAPTER_PICKLE, ENCODER_PICKLE])
def test_half_a_pickle_is_refused(name: str, tmp_path: Path) -> None:
    write_pickles(tmp_path)
    whole = (tmp_path / name).read_bytes()
    for damaged in (whole[: len(whole) // 2], b""):
        (tmp_path / name).write_bytes(damaged)
        with pytest.raises(WeightsError, match=f"{name} .*(refused|cannot be read)") as caught:
            read_published(tmp_path)
        assert "\n" not in str(caught.value)


def test_half_a_repack_is_refused(tmp_path: Path) -> None:
    path = write_repack(tmp_path) / "FantasyPortrait" / REPACK
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(WeightsError, match=f"{REPACK} has .* damaged"):
        read_published(tmp_path)


def test_another_layout_of_dicts_is_refused_by_name(tmp_path: Path) -> None:
    groups: dict[str, object] = dict(published_adapter())
    del groups["emo_proj_model"]
    groups["epoch"] = 3
    write_pickles(tmp_path, adapter=groups)
    with pytest.raises(WeightsError, match="lacks the dict emo_proj_model, it has an unexpected epoch"):
        read_published(tmp_path)


def test_what_is_no_tensor_is_refused_by_name(tmp_path: Path) -> None:
    write_pickles(tmp_path, encoder={**published_encoder(), "epoch": 3})
    with pytest.raises(WeightsError, match=rf"{ENCODER_PICKLE} holds what is no tensor: epoch \(int\)"):
        read_published(tmp_path)
    write_pickles(tmp_path, encoder=[1])
    with pytest.raises(WeightsError, match="holds a list"):
        read_published(tmp_path)


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=f"lacks {ADAPTER_PICKLE} and {ENCODER_PICKLE} .*fetch the model again"):
        adapter_files(tmp_path)
    (write_pickles(tmp_path) / ENCODER_PICKLE).unlink()
    with pytest.raises(WeightsError, match=f"lacks {ENCODER_PICKLE} "):
        adapter_files(tmp_path)


def test_a_missing_an_extra_and_a_misshapen_tensor_are_named_in_one_error() -> None:
    shapes = {key: shape for key, shape in toy_networks().transformer.shapes.items() if "_motion." in key}
    attention = published_adapter()["ip_adapter"]
    name = "blocks.{}.cross_attn.processor.ip_adapter_single_stream_{}_proj.weight"
    del attention[name.format(1, "k")]
    attention[name.format(2, "v")] = torch.zeros(64, 64)
    attention[name.format(0, "v")] = torch.zeros(64, 63)
    with pytest.raises(WeightsError) as caught:
        checked("motion_attention", Path("some.ckpt"), attention, shapes)
    assert str(caught.value) == (
        f"some.ckpt is not the model that is expected here; missing: {name.format(1, 'k')} (64, 64); "
        f"unexpected: {name.format(2, 'v')} (64, 64); "
        f"of another shape: {name.format(0, 'v')} (64, 63) instead of (64, 64)"
    )


def test_an_unknown_key_is_named_with_its_file() -> None:
    encoder = published_encoder() | {"to_nose.0.weight": torch.zeros(1)}
    with pytest.raises(WeightsError, match=r"pd_fpg.pth: the published motion encoder has no to_nose\.0\.weight"):
        checked("motion_encoder", Path("pd_fpg.pth"), encoder, toy_networks().motion_encoder.shapes)
    strange = published_encoder() | {"model.conv9.weight": torch.zeros(1)}
    with pytest.raises(WeightsError, match=r"unexpected: model\.conv9\.weight \(1,\)"):
        checked("motion_encoder", Path("pd_fpg.pth"), strange, toy_networks().motion_encoder.shapes)
