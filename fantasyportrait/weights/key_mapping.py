"""Names of the original tensors and our names for them: one table, read in both directions.

A field in braces stands for one part of a name: `{n}` a number, `{leaf}` a parameter, `{rest}` everything that follows.
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import Literal, TypeVar

from fantasyportrait.core.errors import WeightsError
from fantasyportrait.core.tensor_check import shorten_list

Component = Literal["motion_adapter", "motion_encoder", "motion_attention"]
T = TypeVar("T")

_FIELDS = {"n": r"\d+", "leaf": r"[a-z_]+", "rest": r".+"}
_GROUPS = {"headpose": "head_pose", "eye": "eyes", "emo": "emotion", "mouth": "mouth"}
_RESAMPLERS = ("mouth", "emo")
_IN_LAYER = {
    "0.norm1.{leaf}": "attention.norm_input.{leaf}",
    "0.norm2.{leaf}": "attention.norm_queries.{leaf}",
    "0.to_q.weight": "attention.to_q.weight",
    "0.to_kv.weight": "attention.to_kv.weight",
    "0.to_out.weight": "attention.to_out.weight",
    "1.0.{leaf}": "feed_forward.norm.{leaf}",
    "1.1.weight": "feed_forward.up.weight",
    "1.3.weight": "feed_forward.down.weight",
}
# The original encoder has an unused head from the mouth's 512 features to 500.
_UNUSED = {"motion_encoder": frozenset({"mouth_embed.1.weight", "mouth_embed.1.bias"})}


def convert_keys(part: Component, tensors: Mapping[str, T]) -> dict[str, T]:
    """Rename the `tensors` of an original part to our names, without the known unused ones.

    Raises `WeightsError` that names the keys which that part does not have.
    """
    unknown = [key for key in tensors if converted_key(part, key) is None and not is_unused(part, key)]
    if unknown:
        raise WeightsError(
            "the original {part} has no {unknown}: this is another model's file",
            part=part.replace("_", " "),
            unknown=shorten_list(unknown),
        )
    return {ours: tensor for key, tensor in tensors.items() if (ours := converted_key(part, key)) is not None}


def converted_key(part: Component, key: str) -> str | None:
    """Our name for an original key; None for one that the part does not have or that nothing uses."""
    return None if is_unused(part, key) else _translate(_rules(part), key)


def original_key(part: Component, key: str) -> str:
    """The original name for one of our keys; a key without one comes back unchanged."""
    return _translate(tuple((ours, original) for original, ours in _rules(part)), key) or key


def is_unused(part: Component, key: str) -> bool:
    """Whether this tensor of the original files is unused."""
    return key in _UNUSED.get(part, frozenset())


@cache
def _rules(part: Component) -> tuple[tuple[str, str], ...]:
    """(original, ours) for every kind of key of a part."""
    rules: dict[str, str] = {}
    if part == "motion_attention":
        for kind in "kv":
            original = f"blocks.{{n}}.cross_attn.processor.ip_adapter_single_stream_{kind}_proj.weight"
            rules[original] = f"blocks.{{n}}.attn2.to_{kind}_motion.weight"
    elif part == "motion_adapter":
        rules["proj_model.norm.{leaf}"] = "norm.{leaf}"
        rules.update({f"proj_model.{name}_proj.weight": f"projections.{ours}.weight" for name, ours in _GROUPS.items()})
        for group in _RESAMPLERS:
            source, ours = f"{group}_proj_model", f"resamplers.{_GROUPS[group]}"
            rules[f"{source}.latents"] = f"{ours}.queries"
            for layer in ("proj_in", "proj_out", "norm_out"):
                rules[f"{source}.{layer}.{{leaf}}"] = f"{ours}.{layer}.{{leaf}}"
            for inside, our_inside in _IN_LAYER.items():
                rules[f"{source}.layers.{{n}}.{inside}"] = f"{ours}.layers.{{n}}.{our_inside}"
    else:
        rules["model.{rest}"] = "backbone.{rest}"
        for name, ours in _GROUPS.items():
            for number in (0, 2, 3):
                rules[f"to_{name}.{number}.{{leaf}}"] = f"heads.{ours}.{number}.{{leaf}}"
            if name != "mouth":
                rules[f"{name}_embed.1.{{leaf}}"] = f"embeddings.{ours}.{{leaf}}"
    return tuple(rules.items())


def _translate(rules: tuple[tuple[str, str], ...], key: str) -> str | None:
    for source, target in rules:
        found = _pattern(source).fullmatch(key)
        if found:
            return target.format(**found.groupdict())
    return None


@cache
def _pattern(template: str) -> re.Pattern[str]:
    text = re.escape(template)
    for field, expression in _FIELDS.items():
        text = text.replace(re.escape(f"{{{field}}}"), f"(?P<{field}>{expression})")
    return re.compile(text)
