"""Each option of the app has a widget, and so has a new field."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from fantasyportrait.core.errors import RequestError
from fantasyportrait.schema.options import options_of
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.schema.sampling import Sampling
from tests.extended import extended_request, extended_sampling
from tests.ui.factories import card, engine, options
from ui import engine_values, form
from ui.components import engine as engine_component, options as options_component
from ui.components.engine import render_engine
from ui.components.options import render_options
from ui.option_values import AUTOMATIC, form_options, read_values, shown_value

MODEL = "/srv/models/some-model"


@pytest.fixture
def extended(monkeypatch: pytest.MonkeyPatch) -> tuple[type[AnimationRequest], type[Sampling]]:
    """Replace request and sampling by subclasses with one more field."""
    sampling = extended_sampling()
    request = extended_request(sampling)
    for module in (form, options_component):
        monkeypatch.setattr(module, "AnimationRequest", request)
    for module in (engine_values, engine_component):
        monkeypatch.setattr(module, "Sampling", sampling)
    return request, sampling


def rendered(render: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The widgets of a component, outside of any server."""
    with gr.Blocks(analytics_enabled=False):
        return render()


@pytest.mark.usefixtures("extended")
def test_new_field_becomes_widget_and_json_key() -> None:
    glow = rendered(lambda: render_options(engines=True))["glow"]
    assert isinstance(glow, gr.Slider) and (glow.minimum, glow.maximum, glow.step, glow.value) == (0, 1, 0.1, 0.25)
    assert (glow.label, glow.info, glow.elem_id) == ("Glow", "How much the faces glow", "option-glow")
    grain = rendered(render_engine)["grain"]
    assert isinstance(grain, gr.Radio) and grain.choices == [("None", "none"), ("As of film", "film")]
    values = options(glow=0.5) | engine(grain="film")
    data = json.loads(form.build_request(Path("photo.png"), {1: card()}, values, MODEL).to_json())
    assert data["glow"] == 0.5 and data["sampling"]["grain"] == "film"
    with pytest.raises(RequestError, match="glow is 2: give a number from 0 to 1"):
        form.build_request(Path("photo.png"), {1: card()}, {**values, "glow": 2}, MODEL)
    with pytest.raises(RequestError, match="grain is 'flim' .did you mean film"):
        form.build_request(Path("photo.png"), {1: card()}, {**values, "grain": "flim"}, MODEL)


def test_every_app_option_has_widget() -> None:
    shown = rendered(lambda: render_options(engines=True)) | rendered(render_engine)
    offered = {option.name for owner in (AnimationRequest, Sampling) for option in form_options(owner)}
    assert set(shown) - {"engine", "length", "seconds"} == offered - {"duration"}
    assert set(shown) == set(options()) | set(engine())
    kept_out = {option.name for owner in (AnimationRequest, Sampling) for option in options_of(owner)} - offered
    assert {"portrait", "cast", "engine", "model", "rate", "max_side"} <= kept_out


def test_untouched_widgets_give_default_values() -> None:
    widgets = rendered(lambda: render_options(engines=True)) | rendered(render_engine)
    values = {name: widget.value for name, widget in widgets.items()} | {"engine": "wan"}
    request = form.build_request(Path("photo.png"), {1: card()}, values, MODEL)
    assert request == AnimationRequest(Path("photo.png"), request.cast, engine="wan", sampling=Sampling(MODEL))


def test_form_without_engines_has_no_automatic_value() -> None:
    with_engines = rendered(lambda: render_options(engines=True))["absolute"]
    alone = rendered(lambda: render_options(engines=False))["absolute"]
    assert [value for _, value in with_engines.choices] == [AUTOMATIC, False, True] and with_engines.value == AUTOMATIC
    assert [value for _, value in alone.choices] == [False, True] and alone.value is False
    assert "automatic" in with_engines.info and "automatic" not in alone.info


@pytest.mark.parametrize("owner", [AnimationRequest, Sampling])
def test_shown_values_round_trip(owner: type) -> None:
    offered = [option for option in form_options(owner) if option.name != "duration"]
    defaults = {option.name: option.default for option in offered}
    shown = {option.name: shown_value(option, option.default) for option in offered}
    assert read_values(owner, shown) == defaults
