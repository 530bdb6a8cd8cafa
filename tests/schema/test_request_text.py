"""A request as a command and as a Python program: both are parsed and give the request again."""

import ast
import shlex
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

import fantasyportrait as fp
from fantasyportrait.cli.main import main
from fantasyportrait.schema.request_text import PROGRAM, command_text, python_text, without_server

OUTPUT = Path("out.mp4")
SAMPLING = fp.Sampling(
    seed=7, num_inference_steps=4, prompt="-two 'people' sing\nloud", portrait_guidance_end=0.5, batch_passes=False
)
REQUESTS = {
    "defaults": fp.AnimationRequest("family.png", ["1=motion:smile"]),
    "preview": fp.AnimationRequest(
        "-my 'photo' #1.png",
        ["1=a clip.mp4#start=1.5&mirror=on", "2=still", "3=motion:talk#strength=0.5"],
        duration=2.5,
        rate=Fraction(30000, 1001),
        sound="none",
        absolute=True,
        side_by_side=False,
        max_side=640,
    ),
    "wan": fp.AnimationRequest("a.png", ["1=a.mp4", "2=free"], engine="wan", sampling=SAMPLING, sound="face:1"),
    "edits": fp.AnimationRequest(
        "a.png", ["3=motion:nod"], face_edits=fp.FaceEdits(added=["3=4,5,60.5,70"], removed=[1, 2]), rate=24
    ),
}


def parsed_command(text: str, monkeypatch: pytest.MonkeyPatch) -> tuple[fp.AnimationRequest, Path]:
    """The request and the output that the command line gets from a command."""
    found: list[tuple[fp.AnimationRequest, Path]] = []
    words = shlex.split(text)
    assert " ".join(words[:2]) == PROGRAM
    monkeypatch.setattr(
        "fantasyportrait.cli.display.animate_with_progress", lambda *given: found.append((given[0], given[1]))
    )
    assert main(words[1:]) == 0
    return found[0]


@pytest.mark.parametrize("name", REQUESTS)
def test_command_is_parsed_as_same_request(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    request, output = parsed_command(command_text(REQUESTS[name], OUTPUT), monkeypatch)
    assert (request, output) == (REQUESTS[name], OUTPUT)


@pytest.mark.parametrize("name", REQUESTS)
def test_python_program_gives_same_request(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []

    def animate(photo: Any, cast: Any, output: Any, **options: Any) -> None:
        calls.append((fp.AnimationRequest(photo, cast, **options), Path(output)))

    text = python_text(REQUESTS[name], OUTPUT)
    names = {node.attr for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Attribute)}
    assert names <= set(fp.__all__)
    monkeypatch.setattr("fantasyportrait.service.api.animate", animate)
    exec(compile(text, "copied.py", "exec"), {})
    assert calls == [(REQUESTS[name], OUTPUT)]


@given(st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=40))
def test_python_program_compiles_for_any_prompt(prompt: str) -> None:
    request = replace(REQUESTS["wan"], sampling=replace(SAMPLING, prompt=prompt))
    call: Any = ast.parse(python_text(request, OUTPUT)).body[1]
    sampling = next(each.value for each in call.value.keywords if each.arg == "sampling")
    prompts = [ast.literal_eval(each.value) for each in sampling.keywords if each.arg == "prompt"]
    assert prompts == ([prompt] if prompt else [])


def test_request_without_server_has_neither_folders_nor_its_model() -> None:
    request = fp.AnimationRequest(
        "/srv/a/photo.png", ["1=/srv/b/clip.mp4"], engine="wan", sampling=fp.Sampling(model="/srv/models/wan")
    )
    plain = without_server(request)
    assert "/srv" not in plain.to_json()
    assert plain.sampling.model == fp.Sampling().model and plain.files == (Path("photo.png"), Path("clip.mp4"))
