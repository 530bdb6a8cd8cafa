"""The app on a free port, a browser, and small driving clips."""

import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from fantasyportrait.core.locked_folder import folder_lock
from fantasyportrait.images.images import load_photo, resize, save_image
from fantasyportrait.service.animator import Animator
from fantasyportrait.studio.example_scenes import ExampleScenes
from fantasyportrait.studio.studio import EXAMPLES_ID
from tests.service.factories import acted, one_person, tone
from tests.ui.browsing import CHROMIUM, FLAGS, choose_photo, shown_text, visiting
from tests.ui.serving import Served, serve


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add what the browser's tabs show to the report of a test that failed."""
    report = yield
    if report.when == "call" and report.failed:
        for name, value in getattr(item, "funcargs", {}).items():
            if name == "page" or name.endswith("_page"):
                report.sections.append((name, shown_text(value)))
    return report


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory, two_person: Path, models_dir: Path) -> dict[str, Path]:
    """Clips of one second: "one" shows a person who talks aloud, "two" shows two people who nod and smile."""
    folder = tmp_path_factory.mktemp("clips")
    photo, pair = one_person(two_person, folder / "one.png"), folder / "pair.png"
    save_image(pair, resize(load_photo(two_person).pixels, (512, 288)))
    return {
        "one": acted(photo, ("talk",), folder / "talking.mp4", tone(folder / "tone.wav")),
        "two": acted(pair, ("nod", "smile"), folder / "pair.mp4"),
    }


@pytest.fixture(scope="session")
def examples(shared_folder: Path, models_dir: Path) -> Path:
    """The pictures and loops of the examples, as an app makes them at its first start."""
    folder = shared_folder / EXAMPLES_ID
    with folder_lock(shared_folder):
        if not folder.exists():
            scenes = ExampleScenes(folder, Animator())
            scenes.start()
            scenes.join()
            assert all(scene["loop"] for scene in scenes.view())
    return folder


@pytest.fixture(scope="session")
def app(
    tmp_path_factory: pytest.TempPathFactory, repository: Path, models_dir: Path, examples: Path
) -> Iterator[Served]:
    """The app as it is without flags: the preview alone."""
    with serve(repository, tmp_path_factory.mktemp("app"), examples) as served:
        yield served


@pytest.fixture(scope="session")
def wan_app(
    tmp_path_factory: pytest.TempPathFactory, repository: Path, models_dir: Path, tiny_model: Path, examples: Path
) -> Iterator[Served]:
    """An app that offers the diffusion engine too, with the tiny model."""
    folder = tmp_path_factory.mktemp("wan-app")
    with serve(repository, folder, examples, "--model", str(tiny_model), "--device", "cpu") as served:
        yield served


@pytest.fixture(scope="module")
def driver() -> Iterator[Any]:
    """Playwright, one for each module; where Chromium is missing, a failure in CI and a skip elsewhere."""
    playwright = pytest.importorskip("playwright.sync_api")
    if not CHROMIUM.is_file():
        reason = f"there is no Chromium at {CHROMIUM}: apt install chromium, or name it in $CHROMIUM"
        if os.environ.get("CI") == "true":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    with playwright.sync_playwright() as started:
        yield started


@pytest.fixture(scope="module")
def browser(driver: Any) -> Iterator[Any]:
    """Chromium with a fake camera."""
    chromium = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
    yield chromium
    chromium.close()


@pytest.fixture
def page(browser: Any, app: Served) -> Iterator[Any]:
    """The app in the tab of a new visitor."""
    with visiting(browser, app) as tab:
        yield tab


@pytest.fixture
def camera_page(browser: Any, app: Served) -> Iterator[Any]:
    """The same, with a camera and a microphone that the page may use."""
    with visiting(browser, app, permissions=["camera", "microphone"]) as tab:
        yield tab


@pytest.fixture
def wan_page(browser: Any, wan_app: Served) -> Iterator[Any]:
    """The app with the diffusion engine in the tab of a new visitor."""
    with visiting(browser, wan_app) as tab:
        yield tab


@pytest.fixture(scope="module")
def scene_page(browser: Any, app: Served, two_person: Path) -> Iterator[Any]:
    """A tab that the tests of a module share, with the photo of two people."""
    with visiting(browser, app) as tab:
        choose_photo(tab, two_person, faces=2)
        yield tab
