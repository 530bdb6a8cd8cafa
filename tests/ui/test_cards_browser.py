"""The cards in a browser: clips, motions, people, trim and webcam takes."""

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from fantasyportrait.images.images import load_photo, resize
from fantasyportrait.motion.motion_files import write_motion_file
from fantasyportrait.service.input_reader import InputReader
from tests.ui.browsing import CHROMIUM, FLAGS, choose_photo, opened, reload
from tests.ui.serving import Served

WAIT_MS = 180_000
FAKE_CAMERA = ["--use-fake-device-for-media-stream", "--autoplay-policy=no-user-gesture-required"]
DURATION = """async place => {
    const video = document.querySelector(place);
    video.preload = "metadata";
    video.load();
    while (video.readyState < 1) await new Promise(resolve => setTimeout(resolve, 50));
    return video.duration;
}"""
RECORDED = """seconds => {
    const clock = /(\\d+):(\\d+)/.exec(document.querySelector('.rec')?.textContent);
    return clock && 60 * clock[1] + Number(clock[2]) >= seconds;
}"""
"""Whether a take lasts that long; a busy page may skip a second."""
DROP = """async ([place, name, data]) => {
    const bytes = Uint8Array.from(atob(data), letter => letter.charCodeAt(0));
    const transfer = new DataTransfer();
    transfer.items.add(new File([bytes], name));
    document.querySelector(place).dispatchEvent(new DragEvent("drop", {dataTransfer: transfer, bubbles: true}));
}"""


@contextmanager
def chromium(driver: Any, folder: Path, *flags: str, **options: Any) -> Iterator[Any]:
    """A browser with more flags."""
    context = driver.chromium.launch_persistent_context(
        folder,
        executable_path=CHROMIUM,
        args=[*FLAGS, *flags],
        viewport={"width": 1280, "height": 900},
        # A browser without a GPU is busy with loops that no test looks at.
        reduced_motion="reduce",
        **options,
    )
    context.set_default_timeout(WAIT_MS)
    yield context
    context.close()


@pytest.fixture(scope="module")
def desktop(driver: Any, tmp_path_factory: pytest.TempPathFactory, two_person: Path) -> Iterator[Any]:
    """A browser whose camera sees a face."""
    camera = fake_camera(two_person, tmp_path_factory.mktemp("camera") / "face.y4m")
    flags = [*FAKE_CAMERA, "--use-fake-ui-for-media-stream", f"--use-file-for-fake-video-capture={camera}"]
    with chromium(driver, tmp_path_factory.mktemp("profile"), *flags) as context:
        yield context


@pytest.fixture
def page(desktop: Any, app: Served, two_person: Path) -> Iterator[Any]:
    """A new visitor with a photo of two people."""
    with visit(desktop, app, two_person) as tab:
        yield tab


@contextmanager
def visit(context: Any, app: Served, photo: Path) -> Iterator[Any]:
    """A new visitor with a photo of two people; the persistent context of a browser serves one after the other."""
    with opened(context, app) as tab:
        tab.evaluate("localStorage.clear()")
        reload(tab)
        choose_photo(tab, photo, faces=2)
        yield tab


def fake_camera(photo: Path, path: Path) -> Path:
    """A video for Chromium's fake camera: a still face, 640 x 480."""
    pixels = load_photo(photo).pixels
    left = resize(np.ascontiguousarray(pixels[:, : pixels.shape[0] * 4 // 3]), (640, 480))
    planes = cv2.cvtColor(left, cv2.COLOR_RGB2YUV_I420).tobytes()
    path.write_bytes(b"YUV4MPEG2 W640 H480 F10:1 Ip A1:1 C420jpeg\n" + (b"FRAME\n" + planes) * 10)
    return path


def give_clip(page: Any, face: int, clip: Path) -> None:
    """Upload a clip for a face, and wait for its check."""
    page.click(f"#card-{face} header label:has-text('Clip')")
    page.set_input_files(f"#card-{face} input[type=file]", clip)
    page.wait_for_selector(f"#card-{face} .clip-facts :is(.trim, .error-line, img.clip-player)")


def wait_for_part(page: Any, face: int, *part: str) -> None:
    """Wait for start, length and end of the part of the clip that is used."""
    texts = "Array.from(document.querySelectorAll(place), each => each.textContent.split(' ')[0]).join()"
    page.wait_for_function(
        f"([place, part]) => {texts} === part", arg=[f"#card-{face} .trim-text span", ",".join(part)]
    )


def test_motions_come_alive_where_they_are_seen(page: Any) -> None:
    """Only those on the screen are made; "All" brings the others."""
    page.emulate_media(reduced_motion="no-preference")
    reload(page)
    page.wait_for_selector("#card-1 [data-motion=idle] video")
    page.wait_for_selector("#card-1 [data-motion=nod] img:not(.plain)")
    assert page.locator("#card-1 [data-motion=sing] img.plain").count() == 1
    page.hover("#card-1 [data-motion=nod]")
    page.wait_for_selector("#card-1 [data-motion=nod] video")
    page.click("#card-1 .more")
    assert page.get_attribute("#card-1 .more", "aria-expanded") == "true"
    page.locator("#card-1 [data-motion=sing]").scroll_into_view_if_needed()
    page.wait_for_selector("#card-1 [data-motion=sing] :is(video, img:not(.plain))")


def test_motions_are_one_radio_group_with_arrow_keys_that_survives_reload(page: Any) -> None:
    page.focus("#card-1 [data-motion=idle] input")
    for name in ("nod", "shake"):
        page.keyboard.press("ArrowRight")
        page.wait_for_selector(f"#card-1 [data-motion={name}] input:checked")
    assert page.evaluate("document.activeElement.value") == "shake"
    assert page.locator("#card-1 input[name=motion-1]").count() == page.locator("#card-1 .motion-tile").count()
    page.wait_for_selector("#face-1[aria-label*='Shake']")
    reload(page)
    assert page.is_checked("#card-1 [data-motion=shake] input") and page.is_checked("#card-2 [data-motion=idle] input")


def test_reduced_motion_shows_posters(page: Any) -> None:
    page.wait_for_selector("#card-1 [data-motion=nod] img:not(.plain)")
    page.hover("#card-1 [data-motion=nod]")
    page.focus("#card-1 [data-motion=idle] input")
    assert page.locator(".motion-tile video").count() == 0


def test_handles_of_trim_work_by_keyboard_do_not_cross_and_survive_reload(page: Any, clips: dict[str, Path]) -> None:
    give_clip(page, 1, clips["one"])
    wait_for_part(page, 1, "0.0", "1.0", "1.0")
    page.focus("#card-1 .trim-start")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    page.focus("#card-1 .trim-end")
    page.keyboard.press("ArrowLeft")
    wait_for_part(page, 1, "0.3", "0.6", "0.9")
    page.focus("#card-1 .trim-start")
    page.keyboard.press("End")
    wait_for_part(page, 1, "0.7", "0.2", "0.9")
    page.focus("#card-1 .trim-end")
    page.keyboard.press("Home")
    wait_for_part(page, 1, "0.7", "0.2", "0.9")
    reload(page)
    wait_for_part(page, 1, "0.7", "0.2", "0.9")
    assert page.get_attribute("#card-1 .trim-end", "aria-valuetext") == "0.9 s"


def test_people_of_clip_are_a_radio_group_and_drive_all_faces_in_one_step(page: Any, clips: dict[str, Path]) -> None:
    give_clip(page, 2, clips["two"])
    assert page.locator("#card-2 input[name=person-2]:checked").count() == 1, "the default person is marked"
    page.focus("#card-2 input[name=person-2] >> nth=0")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("#card-2 input[name=person-2][value='2']:checked")
    assert page.locator("#card-2 .clip-people img").evaluate_all("all => all.map(each => each.alt)") == [
        "Person 1",
        "Person 2",
    ]
    page.click("#card-2 button:has-text('1 → 1, 2 → 2')")
    page.wait_for_selector("#card-1 input[name=person-1][value='1']:checked")
    assert page.is_checked("#card-2 input[name=person-2][value='2']")


def test_clip_of_another_face_is_used_and_removed(page: Any, clips: dict[str, Path]) -> None:
    give_clip(page, 1, clips["one"])
    page.click("#card-2 header label:has-text('Clip')")
    page.check("#card-2 .clip-tile input")
    page.wait_for_selector("#card-2 .trim")
    page.wait_for_selector("#face-2[aria-label*='talking.mp4']")
    page.click("#card-1 button:has-text('Remove')")
    page.wait_for_selector("#card-1 .clip-facts", state="detached")
    page.wait_for_selector("#card-2 .clip-facts", state="detached")
    assert page.locator(".clip-tile").count() == 0
    assert page.is_checked("#card-2 header input[value=clip]")


def test_preview_of_clip_is_loaded_when_it_is_played(page: Any, clips: dict[str, Path]) -> None:
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    give_clip(page, 1, clips["one"])
    page.wait_for_selector("#card-1 video.clip-player[poster]")
    url = page.get_attribute("#card-1 video.clip-player", "src")
    requested.clear()
    reload(page)
    page.wait_for_selector("#card-1 video.clip-player[poster][preload=none]")
    assert not [each for each in requested if each.endswith(url)]
    page.evaluate("document.querySelector('#card-1 video.clip-player').play()")
    page.wait_for_function("document.querySelector('#card-1 video.clip-player').currentTime > 0")


@pytest.mark.parametrize("suffix", [".motion.json", ".csv"])
def test_motion_file_drives_a_face(
    page: Any, clips: dict[str, Path], models_dir: Path, tmp_path: Path, suffix: str
) -> None:
    inputs = InputReader(models_dir)
    file = tmp_path / f"talk{suffix}"
    (track,) = inputs.tracks(clips["one"], Fraction(25))
    write_motion_file(file, track, Fraction(25), inputs.face_models.canonical_face())
    give_clip(page, 1, file)
    assert page.locator("#card-1 .error-line").count() == 0
    assert page.locator("#card-1 .trim-strip img").count() > 1 and page.inner_text("#card-1 h3") == file.name


def test_still_picture_drives_a_face(page: Any, two_person: Path, tmp_path: Path) -> None:
    picture = tmp_path / "face.png"
    picture.write_bytes(two_person.read_bytes())
    give_clip(page, 1, picture)
    page.wait_for_selector("#card-1 .clip-text >> text=A held expression")
    assert page.locator("#card-1 .trim").count() == 0


def test_dropped_file_that_is_no_clip_is_refused_beside_it(page: Any) -> None:
    page.evaluate(DROP, ["#card-2", "notes.json", "eyJhIjogMX0="])
    page.wait_for_selector("#card-2 .clip-facts .error-line")
    said = page.inner_text("#card-2 .clip-facts .error-line")
    assert "notes.json" in said and "/" not in said
    assert page.is_checked("#card-2 header input[value=clip]") and page.locator("#card-1 .error-line").count() == 0


def test_adjustments_swap_with_the_face_and_survive_another_photo(
    page: Any, clips: dict[str, Path], two_person: Path
) -> None:
    give_clip(page, 1, clips["one"])
    page.click("#card-1 .adjust summary")
    page.click("#card-1 .adjust label:has-text('Holds its end')")
    page.uncheck("#card-1 .adjust .row input >> nth=0")
    page.fill("#delay-1", "1.5")
    page.press("#delay-1", "Tab")
    page.wait_for_selector("#card-1 summary:has-text('3 changed')")
    page.click("#card-1 .card-menu summary")
    page.click("#card-1 .card-menu button:has-text('Swap with face 2')")
    page.wait_for_selector("#card-2 summary:has-text('3 changed')")
    assert page.is_checked("#card-1 header input[value=motion]")
    before = page.get_attribute("img.photo", "src")
    page.set_input_files("#photo-file", two_person)
    page.wait_for_function("before => document.querySelector('img.photo').getAttribute('src') !== before", arg=before)
    reload(page)
    page.wait_for_selector("#card-2 summary:has-text('3 changed')")
    page.click("#card-2 .adjust summary")
    assert page.input_value("#delay-2") == "1.5" and page.is_checked("#card-2 input[name=fill-2][value=hold]")
    page.click("#card-2 .reset")
    page.wait_for_selector("#card-2 summary:text-is('Adjust')")


def test_same_for_all_and_all_still(page: Any) -> None:
    page.check("#card-2 [data-motion=laugh] input", force=True)
    page.click("#card-2 .card-menu summary")
    page.click("#card-2 .card-menu button:has-text('Same for all')")
    page.wait_for_selector("#card-1 [data-motion=laugh] input:checked")
    page.click("button:has-text('All still')")
    page.wait_for_selector("#card-1 header input[value=still]:checked")
    assert page.is_checked("#card-2 header input[value=still]")


def test_webcam_take_is_recorded_and_becomes_a_clip_with_a_duration(page: Any) -> None:
    page.click("#card-1 header label:has-text('Clip')")
    page.click("#card-1 button:has-text('Record')")
    page.wait_for_selector(".webcam-state:has-text('Your face is seen well')")
    page.click(".dialog button:has-text('Start')")
    page.wait_for_selector(".webcam-state:has-text('starts in')")
    page.wait_for_function(RECORDED, arg=2)
    page.click("button:has-text('Stop recording')")
    page.wait_for_selector("video.take")
    page.click("button:has-text('Retake')")
    page.wait_for_function(RECORDED, arg=4)
    page.click("button:has-text('Stop recording')")
    page.click("button:has-text('Use this take')")
    page.wait_for_selector(".dialog", state="detached")
    page.wait_for_selector("#card-1 .clip-text >> text=640")
    assert page.inner_text("#card-1 h3") == "webcam take 1"
    page.click("button:has-text('中文')")
    page.wait_for_selector("#card-1 h3:has-text('摄像头录像 1')")
    assert 0 < page.evaluate(DURATION, "#card-1 video.clip-player") < 60, "a player knows its duration"


def test_refused_camera_is_a_sentence(driver: Any, tmp_path: Path, app: Served, two_person: Path) -> None:
    with (
        chromium(driver, tmp_path, *FAKE_CAMERA, "--deny-permission-prompts") as context,
        visit(context, app, two_person) as page,
    ):
        page.click("#card-1 header label:has-text('Clip')")
        page.click("#card-1 button:has-text('Record')")
        page.wait_for_selector(".dialog .error-line:has-text('does not let this page use the camera')")
        assert page.locator(".dialog button:has-text('Start')").count() == 0
        page.keyboard.press("Escape")
        page.wait_for_selector(".dialog", state="detached")
        assert page.evaluate("document.activeElement.textContent") == "Record"


def test_browser_without_camera_is_a_sentence(driver: Any, tmp_path: Path, app: Served, two_person: Path) -> None:
    with chromium(driver, tmp_path) as context, visit(context, app, two_person) as page:
        page.evaluate("Object.defineProperty(navigator, 'mediaDevices', {value: undefined})")
        page.click("#card-1 header label:has-text('Clip')")
        page.click("#card-1 button:has-text('Record')")
        page.wait_for_selector(".dialog .error-line:has-text('No camera was found')")
