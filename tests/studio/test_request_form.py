"""The form's values become the request."""

import json
from pathlib import Path
from typing import Any

import pytest

from fantasyportrait.core.errors import RequestError
from fantasyportrait.schema.cast import BuiltinSource, ClipSource, FreeSource
from fantasyportrait.schema.presets import PRESET_FIELDS, PRESETS, match_preset
from fantasyportrait.schema.regions import Regions
from fantasyportrait.schema.request import AnimationRequest, from_json
from fantasyportrait.schema.sampling import Sampling
from fantasyportrait.studio.engine_values import CUSTOM, PREVIEW, preset_values
from fantasyportrait.studio.option_values import AUTOMATIC
from fantasyportrait.studio.request_form import build_request, build_role, checked_card, portable, private_paths
from fantasyportrait.studio.state import CLIP, FREE, STILL, Card
from tests.studio.factories import card, engine, options

PHOTO = Path("uploads/1f/photo.png")
CLIPS = {"2a": Path("uploads/2a/a.mp4"), "3b": Path("uploads/3b/b.webm")}


def request(cards: dict[int, Card], values: dict[str, Any], model: str | None = None) -> AnimationRequest:
    """The request of these cards and options."""
    return build_request(PHOTO, cards, values, CLIPS.__getitem__, model)


def test_form_values_become_request() -> None:
    cards = {
        1: card(kind=CLIP, clip="2a", person=2, strength=1.5, regions=["head", "mouth"], mirror=True),
        2: card(kind=CLIP, clip="3b", start_s=0.5, end_s=2, delay_s=1),
        3: card(motion="laugh"),
        4: card(kind=STILL),
    }
    made = request(cards, options(seconds=8, fill="pingpong", absolute=True, sound="face:1"))
    first, second, third, fourth = made.cast
    assert first.source == ClipSource(Path("uploads/2a/a.mp4"), 2)
    assert (first.strength, first.regions) == (1.5, Regions(True, False, False, True))
    assert first.mirror and not second.mirror
    assert second.source == ClipSource(Path("uploads/3b/b.webm"), start_s=0.5, end_s=2, delay_s=1)
    assert third.source == BuiltinSource("laugh") and fourth.source is None
    assert (made.duration, made.fill, made.absolute, made.sound) == (8.0, "pingpong", True, "face:1")


def test_form_ignores_hidden_panel() -> None:
    role = build_role(1, card(clip="2a", person=2), CLIPS.__getitem__)
    assert role.source == BuiltinSource("nod")


def test_form_length_can_follow_clips() -> None:
    assert request({1: card()}, options(length="shortest", seconds=None)).duration == "shortest"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"strength": 9}, "strength of face 1"),
        ({"strength": float("nan")}, "strength of face 1"),
        ({"motion": "../nod"}, "built-in motion"),
        ({"kind": "everything"}, "face 1 plays 'everything'"),
        ({"kind": CLIP}, "face 1 has no clip yet: upload"),
        ({"kind": CLIP, "clip": "2a", "person": -1}, "person of a.mp4"),
        ({"kind": CLIP, "clip": "2a", "start_s": 3.0, "end_s": 1.0}, "the end must come after"),
        ({"kind": STILL}, "every face is still"),
    ],
)
def test_form_refuses_card_out_of_range(changes: dict[str, object], words: str) -> None:
    with pytest.raises(RequestError, match=words):
        request({1: card(**changes)}, options())


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
        request({1: card()}, options(**changes))


def test_saved_request_hides_server_folders() -> None:
    made = request({1: card(kind=CLIP, clip="2a")}, options())
    text = portable(made)
    assert "uploads" not in text and json.loads(text)["portrait"] == "photo.png"
    assert from_json(text).clips == (ClipSource(Path("a.mp4")),)


MODEL = "/srv/models/some-model"


def test_wan_request_uses_settings_and_server_model() -> None:
    chosen = engine(
        prompt="a choir", portrait_guidance_start=10, portrait_guidance_end=60, face_mask="head", alignment="mesh"
    )
    made = request({1: card()}, options(absolute=AUTOMATIC) | chosen, MODEL)
    assert made.engine == "wan" and made.absolute is None
    assert made.sampling == Sampling(
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
    made = request({1: card()}, options() | engine(engine=PREVIEW, num_inference_steps=None, seed="?"), MODEL)
    assert made.engine == "preview" and made.sampling == Sampling()


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
        request({1: card()}, options() | engine(**changes), MODEL)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"strength": "2"}, "strength is '2'"),
        ({"strength": True}, "strength is True"),
        ({"motion": None}, "motion is None"),
        ({"regions": ["head", "tail"]}, "the regions are"),
        ({"regions": [["head"]]}, "the regions are"),
        ({"regions": None}, "regions is None"),
        ({"mirror": "yes"}, "mirror is 'yes'"),
        ({"mirror": 1}, "mirror is 1"),
        ({"kind": ["clip"]}, "kind is"),
        ({"person": "two"}, "person is 'two'"),
        ({"path": "/etc/hostname"}, "'path' is no choice"),
    ],
)
def test_card_refuses_other_values(changes: dict[str, object], words: str) -> None:
    with pytest.raises(RequestError, match=words):
        checked_card(Card(), changes)


def test_card_keeps_regions_in_order() -> None:
    assert checked_card(Card(), {"regions": ["mouth", "head"]}).regions == ("head", "mouth")


@pytest.mark.parametrize("preset", [preset.name for preset in PRESETS])
def test_preset_values_reach_request(preset: str) -> None:
    chosen = preset_values(preset)
    assert tuple(chosen) == PRESET_FIELDS
    sampling = request({1: card()}, options() | engine(**chosen), MODEL).sampling
    assert match_preset(sampling) == preset


def test_custom_preset_changes_nothing() -> None:
    assert preset_values(CUSTOM) == {}


def test_wan_length_limit_is_one_minute() -> None:
    assert request({1: card()}, options(seconds=60) | engine(), MODEL).duration == 60
    with pytest.raises(RequestError, match="the length is 61: give a number of seconds up to 60 with Wan"):
        request({1: card()}, options(seconds=61) | engine(), MODEL)
    assert request({1: card()}, options(seconds=61) | engine(engine=PREVIEW), MODEL).duration == 61


def test_form_without_model_refuses_wan() -> None:
    with pytest.raises(RequestError, match="engine is 'wan': choose preview"):
        request({1: card()}, options() | engine())
    with pytest.raises(RequestError, match="face 1 plays 'free': choose one of motion, clip, still$"):
        request({1: card(kind=FREE), 2: card()}, options())


def test_form_accepts_free_face() -> None:
    cards = {1: card(kind=FREE)}
    assert request(cards, options() | engine(), MODEL).cast[0].source == FreeSource()
    with pytest.raises(RequestError, match="a face left to the model stays still in the preview"):
        request(cards, options() | engine(engine=PREVIEW), MODEL)
    both = request({**cards, 2: card()}, options() | engine(engine=PREVIEW), MODEL)
    assert both.cast[0].source == FreeSource()


def test_saved_request_hides_model_folder() -> None:
    made = request({1: card()}, options() | engine(), MODEL)
    assert "srv" not in portable(made) and from_json(portable(made)).sampling.model == "./some-model"
    assert Path(MODEL) in private_paths(made)
    named = request({1: card()}, options() | engine(), "wan-480p")
    assert from_json(portable(named)).sampling.model == "wan-480p" and private_paths(named) == [PHOTO]


def test_fill_and_smoothing_of_a_card_reach_the_request(tmp_path: Path) -> None:
    cards = {1: card(kind="clip", clip="c", fill="pingpong", smoothing=0.25, delay_s=1.5), 2: card()}
    request = build_request(tmp_path / "p.png", cards, options(), lambda clip: tmp_path / f"{clip}.mp4")
    first, second = request.cast
    assert isinstance(first.source, ClipSource)
    assert (first.source.fill, first.source.delay_s, first.smoothing) == ("pingpong", 1.5, 0.25)
    assert second.smoothing is None and request.smoothing_of(second) == 0.5
