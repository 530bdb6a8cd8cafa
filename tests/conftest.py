"""Fixtures of all tests: no hub, no analytics, a cache folder of their own, the small models, pictures and clips."""

import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from fantasyportrait.core.errors import WeightsError
from fantasyportrait.core.locked_folder import folder_lock
from fantasyportrait.testing.tiny_model import make_tiny
from fantasyportrait.weights.store import fetch_models, models_dir as default_models_dir
from tests.service.factories import acted, one_person, tone

if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    # Started by nohup: the programs that tests send the signal to would inherit that it is ignored.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Started in the background of a script, where a shell ignores Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
if "PYTEST_XDIST_WORKER" in os.environ:
    # Several of these share the cores: threads of each would wait for one another.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

REPOSITORY = Path(__file__).parents[1]

# The diffusion engine cannot be installed before Python 3.11: there its tests are left out, elsewhere they must run.
WITH_WAN = sys.version_info >= (3, 11)
_OF_WAN = ["models", "parity", "pipelines", "planning", "runtime", "*/test_*wan*.py", "cli/test_machine.py"]
collect_ignore_glob = [] if WITH_WAN else [*_OF_WAN, "workers/test_torchrun.py", "schema/test_presets.py"]

settings.register_profile("repository", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("repository")


# What a test asks for when it runs a model over pictures or clips: most of the time of all tests.
_OF_MODELS = {"models_dir", "tiny_model"}


# Files whose tests take several seconds together, by far the most of the time of all that run no models.
_LONG = (
    *("faces/test_clip_orientation.py", "faces/test_tiled_detector.py", "faces/test_track_cache.py", "hostile/"),
    *("media/test_writer.py", "parity/", "pipelines/test_pipeline.py", "pipelines/test_video_sampling.py"),
    *("planning/test_meta_networks.py", "reel/", "runtime/test_benchmarks.py", "runtime/test_torch_config.py"),
    *("sandbox/test_pool.py", "live/test_live_scene.py", "ui/test_temp_folder.py", "cli/test_wan.py"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that run models, and those of long files: `make check` leaves both out."""
    for item in items:
        if item.path.relative_to(REPOSITORY / "tests").as_posix().startswith(_LONG):
            item.add_marker("long")
        if _OF_MODELS.intersection(getattr(item, "fixturenames", ())):
            item.add_marker("models")


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the source tree."""
    return REPOSITORY


@pytest.fixture(autouse=True)
def cache_dir(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder for this test alone, so that no test sees what another one tracked."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("FANTASYPORTRAIT_CACHE_DIR", str(folder))
    return folder


@pytest.fixture(scope="session")
def media_dir() -> Path:
    """Real photos and clips that may not be committed; tests that need them skip where they are absent."""
    folder = REPOSITORY.parent / "shared" / "media"
    if not folder.is_dir():
        pytest.skip("the photos and clips of ../shared/media are not on this machine")
    return folder


@pytest.fixture(scope="session")
def cases_dir() -> Path:
    """Files that once failed; tests that need them skip where they are absent."""
    folder = REPOSITORY.parent / "shared" / "cases"
    if not folder.is_dir():
        pytest.skip("the files of ../shared/cases are not on this machine")
    return folder


@pytest.fixture(scope="session")
def models_dir() -> Path:
    """The folder of the verified small models; `make test` fetches them first."""
    try:
        fetch_models()
    except WeightsError as error:
        pytest.fail(str(error), pytrace=False)
    return default_models_dir()


@pytest.fixture(scope="session")
def two_person() -> Path:
    """The bundled picture of two people, 1024x576."""
    return REPOSITORY / "assets" / "two_people.png"


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of this run of the tests share."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def wan_packages() -> None:
    """Skips on a Python for which the diffusion engine's packages do not exist."""
    if not WITH_WAN:
        pytest.skip("the diffusion engine needs Python 3.11")


@pytest.fixture(scope="session")
def tiny_model(wan_packages: None, shared_folder: Path) -> Iterator[Path]:
    """A complete model of the diffusion engine at tiny size, as `weights make-tiny` writes it.

    The workload of one size is traced once for all tests: otherwise the animator of each test would trace it.
    """
    folder = shared_folder / "tiny"
    with folder_lock(shared_folder):
        if not folder.exists():
            make_tiny(folder)
    from fantasyportrait.planning.meta_networks import MetaNetworks

    traced: dict[object, object] = {}
    real = MetaNetworks.activations

    def activations(self: MetaNetworks, job: object) -> object:
        key = (repr(self._configs), self._precision, job)
        if key not in traced:
            traced[key] = real(self, job)
        return traced[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MetaNetworks, "activations", activations)
        yield folder


@dataclass(frozen=True)
class Inputs:
    """One and two people as photos; clips in which they act for a second, the first with sound."""

    photo: Path
    pair: Path
    talking: Path
    nodding_pair: Path
    sound: Path


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory, two_person: Path, models_dir: Path) -> Inputs:
    """The inputs of this session's tests."""
    folder = tmp_path_factory.mktemp("inputs")
    photo = one_person(two_person, folder / "one.png")
    sound = tone(folder / "tone.wav")
    return Inputs(
        photo,
        two_person,
        acted(photo, ("talk",), folder / "talking.mp4", sound),
        acted(two_person, ("nod", "smile"), folder / "pair.mp4"),
        sound,
    )
