"""The diffusion engine in a real Chromium, with a tiny model: every part real, only the pictures are noise."""

import json
import re
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from fantasyportrait.images.images import load_photo, save_image
from fantasyportrait.studio.engine_values import tradeoff
from tests.ui.browsing import (
    PLAYS,
    POLL_MS,
    WAIT_MS,
    PageState,
    choose,
    choose_wan,
    opened,
    record_states,
    seen,
    set_seconds,
    set_steps,
    wait_for_other_state,
    wait_for_state,
)
from tests.ui.serving import Served
from ui import strings

pytestmark = pytest.mark.browser

RUN_MS = 4 * WAIT_MS
PLACES = tuple(f"#option-{name} input[type=number]" for name in ("num-inference-steps", "portrait-guidance-end"))
SAMPLING = re.compile(r"Sampling: step (\d+) of (\d+)")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory, two_person: Path) -> tuple[Path, Path]:
    """The faces of the bundled picture in the middle of wide strips: 720 x 96 and 720 x 80 pixels are quick."""
    folder = tmp_path_factory.mktemp("photos")
    pixels = np.pad(load_photo(two_person).pixels, ((0, 0), (800, 800), (0, 0)), mode="edge")
    strips = (folder / "taller.png", folder / "flatter.png")
    for path, rows in zip(strips, (slice(50, 360), slice(70, 350)), strict=True):
        save_image(path, np.ascontiguousarray(pixels[rows]))
    return strips


def show_photo(page: Any, photo: Path) -> None:
    """Upload a photo of two people."""
    page.set_input_files("#photo input[type=file]", photo)
    page.wait_for_selector("text=2 faces found")
    page.wait_for_selector("#face-2")


def give_clip(page: Any, clip: Path) -> None:
    """Let face 1 be driven by a clip of one person, and leave face 2 to the model."""
    choose(page, 1, "Clip")
    page.set_input_files("#face-1 .panel-clip input[type=file]", clip)
    page.wait_for_selector("#face-1 >> text=shows one person")
    choose(page, 2, "Left to the model")


def stages_of(noted: list[PageState]) -> list[str]:
    """The stages in the order in which the page named them, each once."""
    begins = {text.partition(":")[0] for text in strings.STAGES.values()}
    names = [row.text.partition(":")[0] for row in noted]
    return list(dict.fromkeys(name for name in names if name in begins))


def contents(video: Path) -> tuple[int, tuple[int, int], float]:
    """Number of frames, (width, height), and the loudest sample of the sound, 0 to 1."""
    with av.open(str(video)) as container:
        frames = [(frame.width, frame.height) for frame in container.decode(video=0)]
    with av.open(str(video)) as container:
        sound = np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)
    return len(frames), frames[0], float(np.abs(sound).max())


def chosen(page: Any) -> tuple[str, str, str, str, str]:
    """Preset, steps, end of portrait guidance, LoRA, step cache."""
    radios = ("preset", "option-lora", "option-step-cache")
    boxes = [page.get_attribute(f"#{name} input:checked", "value") for name in radios]
    return boxes[0], *(page.input_value(place) for place in PLACES), *boxes[1:]


def choose_preset(page: Any, name: str) -> None:
    """Choose it and wait for its description; settings just opened do not react yet."""
    for attempt in range(WAIT_MS // POLL_MS):
        if attempt % 10 == 0:
            page.click(f"#preset label:has-text('{name}')")
        page.wait_for_timeout(POLL_MS)
        if tradeoff(name.lower()) in page.inner_text("#preset"):
            return
    raise AssertionError(f"{name} was clicked and the page says {page.inner_text('#preset')!r}")


def test_wan_app_animates_uploaded_photo(
    wan_page: Any, photos: tuple[Path, Path], clips: dict[str, Path], tiny_model: Path, tmp_path: Path
) -> None:
    show_photo(wan_page, photos[0])
    give_clip(wan_page, clips["one"])
    choose_wan(wan_page, steps=4)
    set_seconds(wan_page, 0.16)
    record_states(wan_page)
    wan_page.click("#animate")
    wan_page.wait_for_selector("#result video", timeout=RUN_MS)

    noted = seen(wan_page)
    order = [strings.STAGES[name] for name in ("portrait", "driving", "model", "motion", "sample", "render", "finish")]
    stages = stages_of(noted)
    assert stages == [stage for stage in order if stage in stages]
    # Quick stages may pass between two paintings of the page; these take their time.
    assert {strings.STAGES["model"], strings.STAGES["sample"], strings.STAGES["render"]} <= set(stages)
    steps = [(int(found[1]), row) for row in noted if (found := SAMPLING.match(row.text))]
    assert len({step for step, _ in steps}) >= 2 and all("of 4" in row.text for _, row in steps)
    images = {row.preview_image for _, row in steps} - {""}
    assert len(images) >= 2 and all(image.startswith("data:image/jpeg") for image in images)

    result = wan_page.evaluate(PLAYS, "#result")
    assert result["moved"] and result["error"] is None and (result["width"], result["height"]) == (720, 96)
    wan_page.wait_for_selector("#result-messages >> text=0.16 s, 4 frames")
    assert "5 are sampled and the last 1 left out" in wan_page.inner_text("#result-messages")
    assert not wan_page.is_visible("#preview-image img") and not wan_page.is_visible("#stop")
    saved = {}
    for place in ("video", "request"):
        with wan_page.expect_download() as download:
            wan_page.click(f"#save-{place}")
        saved[place] = tmp_path / download.value.suggested_filename
        download.value.save_as(saved[place])
    frames, size, loudest = contents(saved["video"])
    assert (frames, size) == (4, (720, 96)) and loudest > 0.01
    request = json.loads(saved["request"].read_text(encoding="utf-8"))
    assert request["engine"] == "wan" and request["sampling"]["num_inference_steps"] == 4
    hidden = str(tiny_model.parent)
    assert hidden not in saved["request"].read_text(encoding="utf-8") and hidden not in wan_page.content()


def test_stop_while_sampling_keeps_settings(
    wan_page: Any, wan_app: Served, photos: tuple[Path, Path], clips: dict[str, Path]
) -> None:
    before = set(wan_app.results.rglob("*.mp4"))
    show_photo(wan_page, photos[0])
    give_clip(wan_page, clips["one"])
    choose_wan(wan_page, steps=60)
    wan_page.fill("#option-seed input", "77")
    wan_page.fill("#option-prompt textarea", "two people talk")
    set_seconds(wan_page, 0.8)  # so that it takes long enough to be stopped on a quick machine
    record_states(wan_page)
    wan_page.click("#animate")
    wait_for_state(wan_page, "Sampling: step", with_image=True, timeout_ms=RUN_MS)
    # At once: a click waits for two frames of the page, which may be busy until the end of the work.
    wan_page.dispatch_event("#stop", "click")
    wan_page.wait_for_selector("#message >> text=Stopped: no video was made", timeout=RUN_MS)
    wan_page.wait_for_selector("#animate:enabled")

    shown = ("#stop", "#progress progress", "#preview-image img", "#result video")
    assert not [place for place in shown if wan_page.is_visible(place)]
    assert wan_page.is_checked("#engine input[value=wan]") and wan_page.is_checked("#length input[value=seconds]")
    chosen = (PLACES[0], "#option-seed input", "#option-prompt textarea", "#seconds input")
    assert [wan_page.input_value(place) for place in chosen] == ["60", "77", "two people talk", "0.8"]
    assert wan_page.is_checked("#face-1 input[value=clip]") and wan_page.is_visible("#face-1 >> text=shows one person")
    assert wan_page.is_checked("#face-2 input[value=free]")
    assert set(wan_app.results.rglob("*.mp4")) == before

    # And all of it is still good for a video.
    set_steps(wan_page, 1)
    wan_page.fill("#seconds input", "0.2")
    wan_page.press("#seconds input", "Tab")
    wan_page.click("#animate")
    wan_page.wait_for_selector("#result video", timeout=RUN_MS)
    wan_page.wait_for_selector("#result-messages >> text=0.20 s, 5 frames")


def test_two_visitors_are_queued_and_get_videos(
    wan_page: Any, browser: Any, wan_app: Served, photos: tuple[Path, Path]
) -> None:
    before = set(wan_app.results.rglob("*.mp4"))
    with opened(browser, wan_app) as other:
        # A tab is quick only while it is in front.
        for page, photo in ((other, photos[1]), (wan_page, photos[0])):
            page.bring_to_front()
            show_photo(page, photo)
            choose(page, 1, "Built-in motion")
            set_seconds(page, 0.2)
            if page is other:
                choose_wan(page, steps=2)
            else:
                # With its settings as they are, which were never opened: 30 steps.
                page.click("#engine label:has-text('Wan')")
            record_states(page)
        wan_page.click("#animate")
        wait_for_state(wan_page, "Sampling: step", timeout_ms=RUN_MS)
        other.bring_to_front()
        other.click("#animate")
        wait_for_state(other, strings.QUEUED)
        # The second begins when the first is ready.
        wait_for_other_state(other, strings.QUEUED, timeout_ms=RUN_MS)
        assert set(wan_app.results.rglob("*.mp4")) - before

        sizes = []
        for page in (wan_page, other):
            page.bring_to_front()
            page.wait_for_selector("#result video", timeout=RUN_MS)
            result = page.evaluate(PLAYS, "#result")
            assert result["moved"] and result["error"] is None
            sizes.append((result["width"], result["height"]))
        assert sizes == [(720, 96), (720, 80)]


def test_preset_sets_its_widgets(wan_page: Any) -> None:
    wan_page.click("#engine label:has-text('Wan')")
    wan_page.click("#wan button >> nth=0")
    wan_page.wait_for_selector("#preset")
    assert chosen(wan_page) == ("faithful", "30", "100", "none", "none")
    assert tradeoff("faithful") in wan_page.inner_text("#preset")
    choose_preset(wan_page, "Draft")
    assert chosen(wan_page) == ("draft", "4", "50", "lightx2v", "none")
    wan_page.click("#option-num-inference-steps button")  # the slider's own way back
    wan_page.wait_for_selector("#preset input[value=custom]:checked")
    assert chosen(wan_page)[1] == "30"
    choose_preset(wan_page, "Balanced")
    assert chosen(wan_page) == ("balanced", "20", "60", "none", "first-block")

    set_steps(wan_page, 24)
    wan_page.wait_for_selector("#preset input[value=custom]:checked")
    assert chosen(wan_page) == ("custom", "24", "60", "none", "first-block")
    set_steps(wan_page, 20)
    wan_page.wait_for_selector("#preset input[value=balanced]:checked")
    wan_page.click("#option-lora label:has-text('lightx2v')")
    wan_page.wait_for_selector("#preset input[value=custom]:checked")
    choose_preset(wan_page, "Faithful")
    assert chosen(wan_page) == ("faithful", "30", "100", "none", "none")
