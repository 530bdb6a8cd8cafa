"""A request becomes cards and options, of which the same request is built again."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import given, strategies as st

from fantasyportrait.core.errors import MediaError
from fantasyportrait.schema.cast import BuiltinSource, ClipSource, FreeSource, Role
from fantasyportrait.schema.regions import Regions
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.schema.sampling import Sampling
from fantasyportrait.studio.request_form import build_request
from fantasyportrait.studio.scene_restoring import SessionFile, card_of, match_files, option_values
from fantasyportrait.studio.session_store import Session
from fantasyportrait.studio.state import Card, SessionState

MODEL = "wan-720p"
PHOTO, CLIP = Path("photo.png"), Path("clip.mp4")
SOURCES = st.one_of(
    st.just(BuiltinSource("smile")),
    st.none(),
    st.just(FreeSource()),
    st.builds(ClipSource, st.just(CLIP), st.none() | st.integers(1, 9), st.floats(0, 5), delay_s=st.floats(0, 5)),
)


def role(face: int) -> Any:
    regions = st.builds(Regions, st.booleans(), st.booleans(), st.booleans(), st.booleans())
    return st.builds(Role, st.just(face), SOURCES, strength=st.floats(0, 2), regions=regions, mirror=st.booleans())


@given(
    role(1),
    role(2),
    st.sampled_from(["longest", "shortest", 2.5]),
    st.sampled_from(["loop", "hold", "pingpong"]),
    st.sampled_from([None, True, False]),
    st.integers(1, 60),
    st.booleans(),
)
def test_request_of_restored_scene_is_same(
    one: Role, two: Role, duration: Any, fill: Any, absolute: Any, steps: int, side: bool
) -> None:
    moving = Role(3, BuiltinSource("nod"))
    sampling = Sampling(MODEL, seed=7, num_inference_steps=steps, portrait_guidance_end=0.5)
    request = AnimationRequest(
        PHOTO,
        (one, two, moving),
        engine="wan",
        duration=duration,
        fill=fill,
        absolute=absolute,
        side_by_side=side,
        sampling=sampling,
    )
    cards = {each.face: card_of(each, "id", free=True) for each in request.cast}
    assert build_request(PHOTO, cards, option_values(request, MODEL), lambda _: CLIP, MODEL) == request


def test_scene_of_wan_becomes_preview_where_there_is_no_model() -> None:
    request = AnimationRequest(PHOTO, ["1=free", "2=motion:nod"], engine="wan", sound="none")
    assert card_of(request.cast[0], None, free=False) == Card("still")
    values = option_values(request, None)
    assert values["engine"] == "preview" and values["sound"] == "none" and "seed" not in values


def test_sound_file_of_request_is_left_out() -> None:
    request = AnimationRequest(PHOTO, ["1=motion:nod"], sound="file:/etc/passwd", duration="sound")
    assert "sound" not in option_values(request, None) and "length" not in option_values(request, None)


def test_files_are_matched_by_content_before_name(tmp_path: Path) -> None:
    session = Session(tmp_path, SessionState())
    digests = {"files/1.png": "a" * 64, "files/2.mp4": "b" * 64, "files/3.mp4": "c" * 64}
    files = [
        SessionFile("files/1.png", "me.png"),
        SessionFile("files/2.mp4", "x.mp4"),
        SessionFile("files/3.mp4", "clip.mp4"),
    ]

    def sha256(path: Path) -> str:
        name = path.relative_to(tmp_path).as_posix()
        if name not in digests:
            raise MediaError("it is gone")
        return digests[name]

    request = AnimationRequest("photo.png", ["1=clip.mp4"], portrait_sha256="a" * 64)
    assert match_files(session, request, files, sha256) == {PHOTO: files[0], CLIP: files[2]}
    source = ClipSource(CLIP, sha256="b" * 64)
    known = replace(request, cast=(Role(1, source),))
    assert match_files(session, known, files, sha256) == {PHOTO: files[0], CLIP: files[1]}
    del digests["files/1.png"]
    assert match_files(session, known, files, sha256) == {CLIP: files[1]}
