"""The widget of an option, made from its `Option`."""

from collections.abc import Mapping
from typing import Any

import gradio as gr
from gradio.components import Component

from fantasyportrait.schema.options import Option
from ui.option_values import shown_value

Widgets = dict[str, Component]
"""Widgets by the names of their values."""


def option_widget(option: Option, kept: Any = None, key: Any = None) -> Component:
    """Place the widget: a switch, choices, a slider, a number or a text.

    It shows the default, or the value `kept` for a widget with this `key`, where the page has several of its kind.
    """
    given: dict[str, Any] = {"interactive": True, "key": key}
    if key is None:
        given["elem_id"] = f"option-{option.name.replace('_', '-')}"
    # For a text empty, not None: gradio sends None until the accordion around it is opened.
    value = shown_value(option, option.default) if kept is None else kept
    if option.kind is bool and not option.optional:
        return gr.Checkbox(value, label=option.doc, **given)
    given |= {"label": option.label, "info": _info(option)}
    if option.choices:
        choices = [(label, shown_value(option, choice)) for choice, label in option.choices.items()]
        return gr.Radio(choices, value=value, **given)
    if option.slider:
        low, high, step = (100 * number if option.percent else number for number in option.slider)
        return gr.Slider(low, high, value, step=step, **given)
    if option.kind in (int, float):
        return gr.Number(value, precision=0 if option.kind is int else None, **given)
    return gr.Textbox(value, lines=2, max_length=option.max_length, **given)


def named_values(widgets: Mapping[str, Component], values: Mapping[Component, Any]) -> dict[str, Any]:
    """The values of these widgets by name, from the values of a listener with a set of inputs."""
    return {name: values[widget] for name, widget in widgets.items()}


def _info(option: Option) -> str:
    if option.percent:
        return f"{option.doc}, in %"
    return f"{option.doc}; automatic is {option.default_text}" if None in option.choices else option.doc
