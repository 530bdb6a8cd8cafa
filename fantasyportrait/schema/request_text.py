"""A request as text to copy: the command line and the Python program that run it again."""

import shlex
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from fantasyportrait.schema.cast import role_to_text
from fantasyportrait.schema.face_edits import FaceEdits
from fantasyportrait.schema.options import Option, get_option, options_of
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.schema.sampling import Sampling

PROGRAM = "fantasyportrait animate"
SPAN_FLAG = "--portrait-guidance-span"
_SPAN = ("portrait_guidance_start", "portrait_guidance_end")
_INDENT = "    "


def without_server(request: AnimationRequest) -> AnimationRequest:
    """The request as it runs on another machine: files by their names, and a model's name, not its folder.

    A folder of a model becomes the default model.
    """
    sampling = request.sampling
    if sampling.model_folder is not None:
        sampling = replace(sampling, model=get_option(Sampling, "model").default)
    return replace(request, sampling=sampling).with_paths(lambda path: Path(path.name))


def command_text(request: AnimationRequest, output: Path) -> str:
    """The command of a POSIX shell that runs the request; options that have their default are left out."""
    words = [_path_word(request.files[0])]
    for role in request.cast:
        words += ["--cast", role_to_text(role)]
    for option in _changed(request):
        if option.name not in ("portrait", "cast"):
            words += _flag(option, getattr(request, option.name))
    for option in _changed(request.face_edits):
        for value in getattr(request.face_edits, option.name):
            words += [option.spelling, str(value)]
    if request.engine != get_option(AnimationRequest, "engine").default:
        words += _sampling_flags(request.sampling)
    words += ["-o", _path_word(output)]
    return " ".join([PROGRAM, *map(shlex.quote, words)])


def python_text(request: AnimationRequest, output: Path) -> str:
    """The Python program that runs the request; options that have their default are left out."""
    lines = [f"{request.files[0].as_posix()!r},", "["]
    lines += [f"{_INDENT}{role_to_text(role)!r}," for role in request.cast]
    lines += ["],", f"{output.as_posix()!r},"]
    lines += [f"{name}={_literal(value)}," for name, value in _arguments(request).items()]
    if request.face_edits:
        lines += [f"face_edits={_constructed('FaceEdits', _edits_arguments(request.face_edits))},"]
    if request.engine != get_option(AnimationRequest, "engine").default:
        lines += [f"sampling={_constructed('Sampling', _arguments(request.sampling))},"]
    body = "\n".join(f"{_INDENT}{line}" for line in lines)
    return f"import fantasyportrait as fp\n\nfp.animate(\n{body}\n)\n"


def _changed(instance: object) -> list[Option]:
    """The options that differ from their defaults and are no digest of a file."""
    owner: type = type(instance)
    return [
        option
        for option in options_of(owner)
        if not option.name.endswith("sha256") and getattr(instance, option.name) != option.default
    ]


def _flag(option: Option, value: Any) -> list[str]:
    """The words of one option."""
    if option.kind is bool:
        on, off = option.spelling.split("/")
        return [on if value else off]
    # In one word, as a value may begin with a dash.
    return [f"{option.spelling}={value}"]


def _sampling_flags(sampling: Sampling) -> list[str]:
    words = []
    for option in _changed(sampling):
        if option.name not in _SPAN:
            words += _flag(option, getattr(sampling, option.name))
    start, end = (getattr(sampling, name) for name in _SPAN)
    if (start, end) != tuple(get_option(Sampling, name).default for name in _SPAN):
        words.append(f"{SPAN_FLAG}={start}:{end}")
    return words


def _path_word(path: Path) -> str:
    """The path as a word that no parser takes for a flag."""
    text = path.as_posix()
    return f"./{text}" if text.startswith("-") else text


def _arguments(instance: object) -> dict[str, Any]:
    values = {option.name: getattr(instance, option.name) for option in _changed(instance)}
    return {name: value for name, value in values.items() if name not in ("portrait", "cast")}


def _edits_arguments(edits: FaceEdits) -> dict[str, Any]:
    return {"added": [str(face) for face in edits.added], "removed": list(edits.removed)}


def _constructed(name: str, values: dict[str, Any]) -> str:
    return f"fp.{name}({', '.join(f'{key}={_literal(value)}' for key, value in values.items())})"


def _literal(value: Any) -> str:
    """The value as an argument in Python: an exact rate is a text such as "30000/1001"."""
    return repr(str(value)) if isinstance(value, Fraction) else repr(value)
