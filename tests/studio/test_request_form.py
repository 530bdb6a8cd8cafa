"""The form's values become the request."""

import json
from pathlib import Path

import pytest

from fantasyportrait.core.errors import RequestError
from fantasyportrait.schema.cast import BuiltinSource, ClipSource, FreeSource
from fantasyportrait.schema.presets import PRESET_FIELDS, get_preset, match_preset
from fantasyportrait.schema.regions import Regions
from fantasyportrait.schema.request import from_json
from fantasyportrait.schema.sampling import Sampling
from tests.ui.factories import card, engine, options
from fantasyportrait.studio.engine_values import (
    CUSTOM,
    PRESET_CHOICES,
    PREVIEW,
    preset_shown,
    preset_values,
    tradeoff,
)
from ui.form import CLIP, FREE, STILL, WEBCAM, build_request, build_role, portable, private_paths
from fantasyportrait.studio.option_values import AUTOMATIC

PHOTO = Path("uploads/1f/photo.png")


def test_form_values_become_request() -> None:
    cards = {
        1: card(kind=CLIP, clip="uploads/2a/a.mp4", person=2, strength=1.5, regions=["head", "mouth"], mirror=True),
        2: card(kind=WEBCAM, webcam="uploads/3b/b.webm"),
        3: card(motion="laugh"),
        4: card(kind=STILL),
    }
    request = build_request(PHOTO, cards, options(seconds=8, fill="pingpong", absolute=True, sound="face:1"))
    first, second, third, fourth = request.cast
    assert first.source == ClipSource(Path("uploads/2a/a.mp4"), 2)
    assert (first.strength, first.regions) == (1.5, Regions(True, False, False, True))
    assert first.mirror and not second.mirror
    assert second.source == ClipSource(Path("uploads/3b/b.webm"))
    assert third.source == BuiltinSource("laugh") and fourth.source is None
    assert (request.duration, request.fill, request.absolute, request.sound) == (8.0, "pingpong", True, "face:1")


def test_form_ignores_hidden_panel() -> None:
    role = build_role(1, card(clip="uploads/a.mp4", webcam="uploads/b.webm", person=2))
    assert role.source == BuiltinSource("nod")


def test_form_length_can_follow_clips() -> None:
    assert build_request(PHOTO, {1: card()}, options(length="shortest", seconds=None)).duration == "shortest"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"strength": 9}, "strength of face 1"),
        ({"strength": "2"}, "strength of face 1"),
        ({"strength": float("nan")}, "strength of face 1"),
        ({"motion": "../nod"}, "built-in motion"),
        ({"motion": None}, "built-in motion"),
        ({"regions": ["head", "tail"]}, "face 1 follows"),
        ({"regions": None}, "face 1 follows"),
        ({"mirror": "yes"}, "mirror of face 1"),
        ({"kind": "everything"}, "face 1 plays 'everything'"),
        ({"kind": ["clip"]}, "face 1 plays"),
        ({"kind": CLIP}, "face 1 has no clip yet: upload"),
        ({"kind": WEBCAM, "webcam": ""}, "face 1 has no clip yet: record"),
        ({"kind": CLIP, "clip": "a.mp4", "person": -1}, "person of a.mp4"),
        ({"kind": CLIP, "clip": "a.mp4", "person": "two"}, "person of a.mp4"),
        ({"kind": STILL}, "every face is still"),
    ],
)
def test_form_refuses_card_out_of_range(changes: dict[str, object], words: str) -> None:
    with pytest.raises(RequestError, match=words):
        build_request(PHOTO, {1: card(**changes)}, options())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seconds": 0}, "length"),
        ({"seconds": 10**9}, "length"),
        ({"seconds": "4"}, "length"),
        ({"length": "for ever"}, "duration"),
        ({"length": 3}, "duration"),
        ({"length": "100000"}, "duration"),
        ({"fill": "bounce"}, "fill"),
        ({"absolute": 1}, "absolute"),
        ({"smoothing": -0.5}, "smoothing"),
        ({"sound": "face:7"}, "face 7 has no clip"),
        ({"sound": "file:secret.wav"}, "cannot be a file of the server"),
        ({"sound": None}, "sound"),
        ({"side_by_side": "on"}, "side_by_side"),
    ],
)
def test_form_refuses_option_out_of_range(changes: dict[str, object], words: str) -> None:
    with pytest.raises(RequestError, match=words):
        build_request(PHOTO, {1: card()}, options(**changes))


def test_saved_request_hides_server_folders() -> None:
    request = build_request(PHOTO, {1: card(kind=CLIP, clip="uploads/2a/a.mp4")}, options())
    text = portable(request)
    assert "uploads" not in text and json.loads(text)["portrait"] == "photo.png"
    assert from_json(text).clips == (ClipSource(Path("a.mp4")),)


MODEL = "/srv/models/some-model"


def test_wan_request_uses_settings_and_server_model() -> None:
    chosen = engine(
        prompt="a choir", portrait_guidance_start=10, portrait_guidance_end=60, face_mask="head", alignment="mesh"
    )
    request = build_request(PHOTO, {1: card()}, options(absolute=AUTOMATIC) | chosen, MODEL)
    assert request.engine == "wan" and request.absolute is None
    assert request.sampling == Sampling(
        MODEL,
        seed=3,
        num_inference_steps=8,
        portrait_guidance_start=0.1,
        portrait_guidance_end=0.6,
        prompt="a choir",
        face_mask="head",
        alignment="mesh",
    )


def test_preview_request_ignores_wan_settings() -> None:
    request = build_request(
        PHOTO, {1: card()}, options() | engine(engine=PREVIEW, num_inference_steps=None, seed="?"), MODEL
    )
    assert request.engine == "preview" and request.sampling == Sampling()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"engine": "magic"}, "engine is 'magic': choose preview or wan"),
        ({"engine": ["wan"]}, "engine"),
        ({"num_inference_steps": 61}, "num_inference_steps is 61: give at most 60"),
        ({"num_inference_steps": 0}, "steps"),
        ({"num_inference_steps": 2.5}, "steps"),
        ({"seed": None}, "seed"),
        ({"seed": -2}, "seed"),
        ({"portrait_guidance_scale": float("nan")}, "portrait_guidance_scale"),
        ({"guidance_scale": 0.5}, "guidance_scale"),
        ({"prompt": "x" * 5000}, "prompt is too long"),
        ({"negative_prompt": None}, "negative_prompt"),
        ({"face_mask": "../mask.png"}, "face_mask"),
        ({"alignment": "other"}, "alignment"),
        ({"portrait_guidance_start": 101}, "portrait_guidance_start is 101"),
        ({"portrait_guidance_end": "all"}, "portrait_guidance_end is 'all'"),
        ({"portrait_guidance_start": 80, "portrait_guidance_end": 20}, "portrait_guidance_end"),
        ({"lora": "../lora.safetensors"}, "lora is"),
        ({"step_cache": "all"}, "step_cache"),
        ({"cache_threshold": 0}, "cache_threshold"),
    ],
)
def test_form_refuses_wan_setting_out_of_range(changes: dict[str, object], words: str) -> None:
    with pytest.raises(RequestError, match=words):
        build_request(PHOTO, {1: card()}, options() | engine(**changes), MODEL)


@pytest.mark.parametrize("name", [name for _, name in PRESET_CHOICES if name != CUSTOM])
def test_preset_equals_its_widget_values(name: str) -> None:
    """A preset sets the widgets, is recognized by their values, and its values reach the request."""
    chosen = preset_values(name)
    assert tuple(chosen) == PRESET_FIELDS and preset_shown(chosen) == name
    sampling = build_request(PHOTO, {1: card()}, options() | engine(**chosen), MODEL).sampling
    assert match_preset(sampling) == name and tradeoff(name) == get_preset(name).tradeoff
    for field in ("num_inference_steps", "portrait_guidance_end", "lora"):
        other = {
            "num_inference_steps": 7,
            "portrait_guidance_end": 35,
            "lora": "none" if chosen["lora"] != "none" else "lightx2v",
        }
        assert preset_shown({**chosen, field: other[field]}) == CUSTOM


def test_custom_settings_match_no_preset() -> None:
    assert preset_values(CUSTOM) == {} and "below" in tradeoff(CUSTOM)
    typed = {**preset_values("faithful"), "num_inference_steps": None, "portrait_guidance_start": "x"}
    assert preset_shown(typed) == CUSTOM


def test_wan_length_limit_is_one_minute() -> None:
    assert build_request(PHOTO, {1: card()}, options(seconds=60) | engine(), MODEL).duration == 60
    with pytest.raises(RequestError, match="the length is 61: give a number of seconds up to 60 with Wan"):
        build_request(PHOTO, {1: card()}, options(seconds=61) | engine(), MODEL)
    assert build_request(PHOTO, {1: card()}, options(seconds=61) | engine(engine=PREVIEW), MODEL).duration == 61


def test_form_without_model_refuses_wan() -> None:
    with pytest.raises(RequestError, match="engine is 'wan': choose preview"):
        build_request(PHOTO, {1: card()}, options() | engine())
    with pytest.raises(RequestError, match="face 1 plays 'free': choose one of clip, webcam, motion, still$"):
        build_request(PHOTO, {1: card(kind=FREE), 2: card()}, options())


def test_form_accepts_free_face() -> None:
    cards = {1: card(kind=FREE)}
    assert build_request(PHOTO, cards, options() | engine(), MODEL).cast[0].source == FreeSource()
    with pytest.raises(RequestError, match="a face left to the model stays still in the preview"):
        build_request(PHOTO, cards, options() | engine(engine=PREVIEW), MODEL)
    both = build_request(PHOTO, {**cards, 2: card()}, options() | engine(engine=PREVIEW), MODEL)
    assert both.cast[0].source == FreeSource()


def test_saved_request_hides_model_folder() -> None:
    request = build_request(PHOTO, {1: card()}, options() | engine(), MODEL)
    assert "srv" not in portable(request) and from_json(portable(request)).sampling.model == "./some-model"
    assert Path(MODEL) in private_paths(request)
    named = build_request(PHOTO, {1: card()}, options() | engine(), "wan-480p")
    assert from_json(portable(named)).sampling.model == "wan-480p" and private_paths(named) == [PHOTO]
