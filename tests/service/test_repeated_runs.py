"""One process takes the digest of a clip once, from upload to videos, and loads each net once."""

from pathlib import Path

import pytest

from fantasyportrait.core.digests import hash_file
from fantasyportrait.core.errors import MediaError
from fantasyportrait.faces import onnx_net
from fantasyportrait.media.request_files import load_request
from fantasyportrait.runtime.runtime_config import RuntimeConfig
from fantasyportrait.schema.cast import ClipSource
from fantasyportrait.schema.events import Event, Step
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.schema.sampling import Sampling
from fantasyportrait.service.animator import Animator
from fantasyportrait.service.listing import list_clip
from tests.conftest import Inputs
from tests.counting_files import count_bytes_hashed
from tests.counting_nets import count_nets_loaded


@pytest.fixture
def animator(models_dir: Path, cache_dir: Path) -> Animator:
    """A new animator with an empty cache."""
    return Animator(cache_dir=cache_dir, runtime_config=RuntimeConfig(device="cpu"))


def request_for(inputs: Inputs, **changes: object) -> AnimationRequest:
    """Five small frames of a face that a clip drives, with sound and the side by side."""
    given = {"duration": 0.2, "max_side": 128, **changes}
    return AnimationRequest(inputs.pair, [f"1={inputs.talking}", f"2={inputs.talking}"], **given)  # type: ignore[arg-type]


def test_clip_digest_is_read_once_from_upload_to_video(
    animator: Animator, inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed_bytes = count_bytes_hashed(monkeypatch)
    list_clip(animator.inputs, inputs.talking)
    animator.inputs.tracks(inputs.talking, end_s=0.5)
    result = animator.animate(request_for(inputs), tmp_path / "out.mp4")
    assert hashed_bytes[inputs.talking.resolve()] == inputs.talking.stat().st_size
    saved = load_request(result.request)
    assert {role.source.sha256 for role in saved.cast if isinstance(role.source, ClipSource)} == {
        hash_file(inputs.talking).sha256
    }


def test_wan_run_reads_clip_digest_once(
    animator: Animator, inputs: Inputs, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second run loads no net but the detector, which is kept only for the last input shape."""
    hashed_bytes, loaded = count_bytes_hashed(monkeypatch), count_nets_loaded(monkeypatch)
    encoders, sessions = _count_encoders(monkeypatch), _count_sessions(monkeypatch)
    sampling = Sampling(model=tiny_model.as_posix(), num_inference_steps=1, alignment="original")
    request = request_for(inputs, engine="wan", sampling=sampling, side_by_side=False)
    animator.animate(request, tmp_path / "a.mp4")
    assert hashed_bytes[inputs.talking.resolve()] == inputs.talking.stat().st_size
    assert len(set(loaded)) == 5, "two detectors, landmarks, blendshapes, masks"
    loaded.clear()
    animator.animate(request, tmp_path / "b.mp4")
    assert loaded in ([], ["centerface.onnx"]) and len(encoders) == len(sessions) == 1
    assert hashed_bytes[inputs.talking.resolve()] == inputs.talking.stat().st_size


@pytest.mark.parametrize("stage", ["driving", "render"])
def test_clip_changed_during_run_is_reported(animator: Animator, inputs: Inputs, tmp_path: Path, stage: str) -> None:
    """A change during tracking is an error; a later one, which only sound and side by side read, is a message."""
    clip, other = tmp_path / "clip.mp4", inputs.nodding_pair.read_bytes()
    clip.write_bytes(inputs.talking.read_bytes())

    def change(event: Event) -> None:
        if isinstance(event, Step) and event.stage == stage and event.done == 1:
            (tmp_path / "new.mp4").write_bytes(other)
            (tmp_path / "new.mp4").replace(clip)

    request = AnimationRequest(inputs.pair, f"1={clip}", duration=0.2, max_side=128)
    if stage == "driving":
        with pytest.raises(MediaError, match=r"clip\.mp4 was changed while it was read: run the request again"):
            animator.animate(request, tmp_path / "out.mp4", on_event=change)
        assert not (tmp_path / "out.mp4").exists()
        return
    result = animator.animate(request, tmp_path / "out.mp4", on_event=change)
    assert any("clip.mp4 was changed or removed while the video was made" in text for text in result.messages)
    (role,) = load_request(result.request).cast
    assert isinstance(role.source, ClipSource) and role.source.sha256 == hash_file(inputs.talking).sha256


def _count_encoders(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A name for each motion encoder that is loaded."""
    from fantasyportrait.models.motion_encoder import MotionEncoder

    names: list[str] = []
    load = MotionEncoder.from_pretrained

    def counted(folder: Path) -> MotionEncoder:
        names.append(folder.name)
        return load(folder)

    monkeypatch.setattr(MotionEncoder, "from_pretrained", counted)
    return names


def _count_sessions(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The file of each net that onnxruntime loads."""
    names: list[str] = []
    load = onnx_net._session

    def counted(runtime: object, path: Path) -> object:
        names.append(path.name)
        return load(runtime, path)

    monkeypatch.setattr(onnx_net, "_session", counted)
    return names
