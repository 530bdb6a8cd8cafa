"""Fetching from the hub with the real library, against a hub on this machine."""

import errno
import shutil
import sys
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import pytest

from fantasyportrait.core.errors import DependencyError, OutputError, RequestError, WeightsError
from fantasyportrait.weights import hub_catalog, hub_fetch, hub_manifest
from fantasyportrait.weights.hub_catalog import HUB_MODELS, HubModel, hub_model, with_dependencies
from fantasyportrait.weights.hub_fetch import fetch_hub, fetch_named
from fantasyportrait.weights.hub_manifest import hub_state, read_manifest
from tests.weights import fake_hub
from tests.weights.fake_hub import COMMIT, FakeHub

SHARD = bytes(range(256)) * 40
FILES = {
    "model_index.json": b"{}",
    "transformer/a.safetensors": SHARD,
    "README.md": b"not wanted",
    "vae/v.safetensors": SHARD[::-1],
}
ADAPTER = {"adapter.ckpt": SHARD[:5000], "net.onnx": b"n" * 100, "other.bin": b"x" * 900}


def source(name: str, repo: str, files: tuple[str, ...], folder: str, also: tuple[str, ...] = ()) -> HubModel:
    """A row of a catalog."""
    return HubModel(name, "part", repo, "main", files, 1, "MIT", "tests", folder, also)


ROWS = (
    source("base", "team/base", ("model_index.json", "transformer/*", "vae/*"), "wan/base", ("adapter",)),
    source("around", "team/base", ("model_index.json", "vae/*"), "wan/base"),
    source("adapter", "team/adapter", ("adapter.ckpt", "net.onnx"), "wan/adapter"),
    source("nets", "team/adapter", ("net.onnx",), "wan/adapter"),
)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """The hub that the library talks to, with two repositories, and a catalog of rows from it."""
    constants = pytest.importorskip("huggingface_hub.constants")
    served = FakeHub({"team/base": dict(FILES), "team/adapter": dict(ADAPTER)})
    server = fake_hub.start(served)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", served.url)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", served.url + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 500)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    for module in (hub_catalog, hub_fetch, hub_manifest):
        monkeypatch.setattr(module, "HUB_MODELS", ROWS)
    yield served
    server.shutdown()
    server.server_close()


def test_only_listed_files_are_fetched_and_recorded(hub: FakeHub, tmp_path: Path) -> None:
    said: list[str] = []
    assert fetch_hub(["base"], tmp_path, said.append) == (tmp_path / "wan/base", tmp_path / "wan/adapter")
    base = tmp_path / "wan/base"
    assert (base / "transformer/a.safetensors").read_bytes() == SHARD
    assert not (base / "README.md").exists() and not (tmp_path / "wan/adapter/other.bin").exists()
    record = read_manifest(base)["base"]
    assert record.commit == COMMIT and record.repo == "team/base"
    assert sorted(record.files) == ["model_index.json", "transformer/a.safetensors", "vae/v.safetensors"]
    assert hub_state(ROWS[0], tmp_path, read=True).state == "ok"


def test_size_target_and_free_space_are_reported_first(hub: FakeHub, tmp_path: Path) -> None:
    asked_before = []
    said: list[str] = []

    def listen(sentence: str) -> None:
        said.append(sentence)
        asked_before.append(len(hub.paths()))

    fetch_hub(["adapter"], tmp_path, listen)
    assert said[0].startswith("adapter: 0.0 MB of 0.0 MB to fetch from team/adapter (commit 0123456789ab, MIT)")
    assert str(tmp_path / "wan/adapter") in said[0] and "GB are free" in said[0]
    assert asked_before[0] == 0
    assert said[1] == "adapter: file 1 of 2, adapter.ckpt (0.0 MB)"


def test_too_large_download_is_refused_first(hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Usage = namedtuple("Usage", "total used free")
    size = sum(len(FILES[name]) for name in FILES if name != "README.md") + 5100
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(size, 0, size - 1))
    with pytest.raises(OutputError, match="to be fetched and .* free some space.*--models-dir"):
        fetch_hub(["base"], tmp_path / "new" / "models")
    assert not hub.paths() and not (tmp_path / "new").exists()
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(size, 0, size))
    fetch_hub(["base"], tmp_path / "models")


def test_complete_download_needs_no_hub(hub: FakeHub, tmp_path: Path) -> None:
    fetch_hub(["adapter"], tmp_path)
    hub.refuse, count, said = 500, len(hub.asked), []
    fetch_hub(["adapter"], tmp_path, said.append)
    assert len(hub.asked) == count
    assert said == [f"adapter is in {tmp_path / 'wan/adapter'} (commit 0123456789ab): reading its files to be sure"]


def test_row_is_covered_by_larger_row_of_repository(hub: FakeHub, tmp_path: Path) -> None:
    fetch_hub(["base"], tmp_path)
    assert [hub_state(row, tmp_path).state for row in ROWS] == ["ok"] * 4
    (tmp_path / "wan/base/transformer/a.safetensors").unlink()
    assert [hub_state(row, tmp_path).state for row in ROWS[:2]] == ["wrong", "ok"]


def test_smaller_row_does_not_cover_larger_row(hub: FakeHub, tmp_path: Path) -> None:
    fetch_hub(["nets", "around"], tmp_path)
    assert [hub_state(row, tmp_path).state for row in ROWS] == ["missing", "ok", "missing", "ok"]
    hub.asked.clear()
    fetch_hub(["base"], tmp_path)
    assert sorted(set(hub.paths())) == ["adapter.ckpt", "transformer/a.safetensors"]


def test_broken_connection_is_resumed(hub: FakeHub, tmp_path: Path) -> None:
    hub.cut_after = 4000
    (folder,) = fetch_hub(["adapter"], tmp_path)
    assert (folder / "adapter.ckpt").read_bytes() == ADAPTER["adapter.ckpt"]
    ranges = [wanted for method, path, wanted, _ in hub.asked if method == "GET" and path.endswith("adapter.ckpt")]
    assert ranges == ["", "bytes=4000-"]


def test_after_a_stop_finished_files_are_kept(hub: FakeHub, tmp_path: Path) -> None:
    hub.repositories["team/adapter"]["net.onnx"] = b"m" * 100
    hub.lies["net.onnx"] = b"n" * 100
    with pytest.raises(WeightsError):
        fetch_hub(["adapter"], tmp_path)
    assert hub_state(ROWS[2], tmp_path).state == "partial"
    hub.lies.clear()
    hub.asked.clear()
    fetch_hub(["adapter"], tmp_path)
    assert hub.paths() == ["net.onnx"]
    assert hub_state(ROWS[2], tmp_path, read=True).state == "ok"


@pytest.mark.parametrize(
    ("name", "content"), [("adapter.ckpt", SHARD[1:5001]), ("net.onnx", b"o" * 100), ("model_index.json", b"[]")]
)
def test_file_with_wrong_digest_is_deleted(hub: FakeHub, tmp_path: Path, name: str, content: bytes) -> None:
    hub.lies[name] = content
    with pytest.raises(WeightsError, match=f"{name} as it arrived .* was deleted"):
        fetch_hub(["base"], tmp_path)
    assert not list(tmp_path.rglob(name))


def test_damaged_file_is_fetched_again(hub: FakeHub, tmp_path: Path) -> None:
    (folder,) = fetch_hub(["adapter"], tmp_path)
    (folder / "adapter.ckpt").write_bytes(ADAPTER["adapter.ckpt"][::-1])
    assert hub_state(ROWS[2], tmp_path).state == "ok"  # only reading it tells
    found = hub_state(ROWS[2], tmp_path, read=True)
    assert (found.state, found.faulty) == ("wrong", ("adapter.ckpt",))
    for name, content in (("adapter.ckpt", ADAPTER["adapter.ckpt"][::-1]), ("net.onnx", b"short")):
        (folder / name).write_bytes(content)
        hub.asked.clear()
        said: list[str] = []
        fetch_hub(["adapter"], tmp_path, said.append)
        assert sum(f"{name} is not the file of the hub" in sentence for sentence in said) == 1
        assert hub.paths() == [name]
        assert hub_state(ROWS[2], tmp_path, read=True).state == "ok"


@pytest.mark.parametrize(
    ("status", "words"),
    [(401, "no longer, or not for you"), (403, "accept it there and set HF_TOKEN"), (404, "no longer"), (500, "500")],
)
def test_hub_refusal_is_one_sentence(hub: FakeHub, tmp_path: Path, status: int, words: str) -> None:
    hub.refuse = status
    with pytest.raises(WeightsError, match=words) as caught:
        fetch_hub(["adapter"], tmp_path)
    assert "\n" not in str(caught.value) and "team/adapter" in str(caught.value)


def test_unreachable_hub_is_one_sentence(hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(WeightsError, match="cannot be fetched .*run the command again when the network is there"):
        fetch_hub(["adapter"], tmp_path)


def test_a_file_that_left_the_repository_is_named(hub: FakeHub, tmp_path: Path) -> None:
    del hub.repositories["team/adapter"]["net.onnx"]
    with pytest.raises(WeightsError, match="team/adapter has no net.onnx at 0123456789ab"):
        fetch_hub(["adapter"], tmp_path)


def test_path_outside_folder_is_refused(hub: FakeHub, tmp_path: Path) -> None:
    hub.repositories["team/base"]["vae/../../../evil.safetensors"] = b"x"
    with pytest.raises(WeightsError, match="leads out of the models folder"):
        fetch_hub(["base"], tmp_path)
    assert not hub.paths()


def test_token_comes_from_environment_and_is_not_printed(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = tmp_path / "token"
    stored.write_text("hf_stored")
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(stored))
    fetch_hub(["nets"], tmp_path / "a")
    assert {authorization for _, _, _, authorization in hub.asked} == {""}
    hub.asked.clear()
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    said: list[str] = []
    fetch_hub(["nets"], tmp_path / "b", said.append)
    assert {authorization for _, _, _, authorization in hub.asked} == {"Bearer hf_secret"}
    hub.refuse = 401
    with pytest.raises(WeightsError) as caught:
        fetch_hub(["nets"], tmp_path / "c")
    assert "hf_secret" not in " ".join([*said, str(caught.value)])


def test_offline_is_respected(hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match="nets is not complete in .*HF_HUB_OFFLINE forbids the hub"):
        fetch_hub(["nets"], tmp_path)
    assert not hub.asked


def test_a_full_disk_is_an_output_error(hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("huggingface_hub.file_download.http_get", full)
    with pytest.raises(OutputError, match="net.onnx of team/adapter cannot be written .No space left"):
        fetch_hub(["nets"], tmp_path)


def test_without_the_library_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("huggingface_hub", "huggingface_hub.constants"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(DependencyError, match=r"fantasyportrait\[wan\]"):
        fetch_hub(["lightx2v"], tmp_path)


def test_a_pinned_commit_is_served_by_no_other(hub: FakeHub, tmp_path: Path) -> None:
    fetch_hub(["nets"], tmp_path)
    pinned = HubModel("nets", "part", "team/adapter", "f" * 40, ("net.onnx",), 1, "MIT", "tests", "wan/adapter")
    assert hub_state(pinned, tmp_path).state == "partial"


def test_unknown_name_is_refused_before_fetching(hub: FakeHub, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="'wan-9000'.*face_landmarks.*nets"):
        fetch_named(["nets", "wan-9000"], tmp_path)
    assert not hub.asked


def test_the_catalog_is_consistent() -> None:
    names = [row.name for row in HUB_MODELS]
    assert len(set(names)) == len(names)
    for row in HUB_MODELS:
        assert row.revision == "main" or len(bytes.fromhex(row.revision)) == 20
        assert row.approx_bytes > 1_000_000 and row.licence and row.purpose
        assert all(hub_model(needed) for needed in row.requires)
    assert [row.name for row in with_dependencies(("gguf-q4",))] == ["encoders-720p", "adapter", "gguf-q4"]
    assert [row.name for row in with_dependencies(("wan-480p",))] == ["wan-480p", "adapter"]
    assert [row.name for row in with_dependencies(("adapter-fp16",))] == ["face-nets", "adapter-fp16"]
