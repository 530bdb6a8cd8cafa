"""The diffusion engine from request to video, with a tiny model whose every class is real."""

import shutil
import threading
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import Cancelled, RequestError, WeightsError
from fantasyportrait.engines.wan_engine import POLL_INTERVAL_S
from fantasyportrait.engines.wan_model import MotionNetLoader, prepare_model, sampled_frames
from fantasyportrait.engines.wan_motion import _padded
from fantasyportrait.images.images import load_photo, save_image
from fantasyportrait.media.clips import probe_clip, read_clip
from fantasyportrait.media.request_files import load_request
from fantasyportrait.pipelines.portrait_pipeline import FantasyPortraitPipeline
from fantasyportrait.planning import pipeline_manager
from fantasyportrait.runtime.runtime_config import RuntimeConfig
from fantasyportrait.schema import events
from fantasyportrait.schema.cast import BuiltinSource, ClipSource, FreeSource, Role
from fantasyportrait.schema.events import Event, Result
from fantasyportrait.schema.regions import Regions
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.schema.sampling import Sampling
from fantasyportrait.service.animator import Animator
from fantasyportrait.service.motion_export import export_motion
from tests.conftest import Inputs
from tests.models.factories import tiny_sam

SIDE = 128
# Driven by its own portrait, so that no clip is tracked.
STILL = Role(1, None)

Job = Callable[..., AnimationRequest]
Known = dict[AnimationRequest, np.ndarray]


@pytest.fixture(scope="module")
def animator(models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Animator:
    """One animator, so that the model is loaded once and motions are encoded once."""
    return Animator(cache_dir=tmp_path_factory.mktemp("wan-cache"), runtime_config=RuntimeConfig(device="cpu"))


@pytest.fixture
def job(inputs: Inputs, tiny_model: Path) -> Job:
    """A request for the pair: five frames, two steps; changes by name, those of the sampling too."""

    def make(*roles: Role, photo: Path | None = None, **changes: object) -> AnimationRequest:
        names = Sampling.__dataclass_fields__
        sampling = {name: changes.pop(name) for name in list(changes) if name in names}
        cast = roles or (Role(1, ClipSource(inputs.talking)), Role(2, ClipSource(inputs.nodding_pair, person=2)))
        given = {"duration": 0.2, "max_side": SIDE, "side_by_side": False, "engine": "wan", **changes}
        sampled = Sampling(**{"model": tiny_model.as_posix(), "num_inference_steps": 2, **sampling})
        return AnimationRequest(photo or inputs.pair, cast, sampling=sampled, **given)

    return make


def run(animator: Animator, request: AnimationRequest, path: Path) -> tuple[Result, np.ndarray]:
    """The result and its frames; a path without a suffix gives the very frames that the engine made."""
    result = animator.animate(request, path)
    if result.video.is_dir():
        return result, np.stack([load_photo(picture).pixels for picture in sorted(result.video.iterdir())])
    return result, np.stack(list(read_clip(result.video, request.rate)))


@pytest.fixture(scope="module")
def known() -> Known:
    """Frames of requests that were made before, for tests that compare others with them."""
    return {}


def frames_of(animator: Animator, request: AnimationRequest, path: Path, known: Known) -> np.ndarray:
    """The request's frames, made once for all tests of this module."""
    if request not in known:
        known[request] = run(animator, request, path)[1]
    return known[request]


@pytest.fixture
def sampled(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """The latents (1, 16, T, H, W) of each run, in order: the tiny VAE decodes a change of one place everywhere."""
    made: list[np.ndarray] = []
    denoise = FantasyPortraitPipeline.denoise

    def recorded(self: FantasyPortraitPipeline, *args: object, **given: object) -> torch.Tensor:
        latents: torch.Tensor = denoise(self, *args, **given)
        made.append(latents.float().numpy().copy())
        return latents

    monkeypatch.setattr(FantasyPortraitPipeline, "denoise", recorded)
    return made


def changes_at_faces(animator: Animator, photo: Path, one: np.ndarray, other: np.ndarray) -> list[float]:
    """The mean change of the latents in the box of each face."""
    image, faces = animator.inputs.faces(photo)
    change = np.abs(one - other).mean(axis=(0, 1, 2))
    boxes = [face.box * np.tile(change.shape[::-1], 2) / np.tile(image.pixels.shape[1::-1], 2) for face in faces]
    corners = [(*np.floor(box[:2]).astype(int), *np.ceil(box[2:]).astype(int)) for box in boxes]
    return [float(change[top:bottom, left:right].mean()) for left, top, right, bottom in corners]


def test_wan_drives_two_people_by_two_clips(animator: Animator, job: Job, tmp_path: Path) -> None:
    request = job(side_by_side=True, duration=0.4)
    result, frames = run(animator, request, tmp_path / "out.mp4")
    assert result.frames == len(frames) == 10
    assert frames.shape[1:] == (80, 128, 3), "1024 x 576 at a side of 128, rounded up to multiples of 16"
    info = probe_clip(result.video)
    assert info.has_sound and info.rate == 25 and info.duration_s == pytest.approx(0.4)
    with av.open(str(result.video)) as container:
        sound = np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)
    assert np.abs(sound).max() > 0.01
    assert any("13 are sampled and the last 3 left out" in message for message in result.messages)
    assert result.side_by_side is not None and probe_clip(result.side_by_side).width > 128
    saved = load_request(result.request)
    assert saved.sampling == request.sampling and saved.engine == "wan"


def test_same_seed_gives_same_frames(animator: Animator, job: Job, tmp_path: Path, known: Known) -> None:
    first = frames_of(animator, job(), tmp_path / "a", known)
    _, again = run(animator, job(), tmp_path / "b")
    _, other = run(animator, job(seed=1), tmp_path / "c")
    np.testing.assert_array_equal(first, again)
    assert (first != other).mean() > 0.5


def test_wan_saved_request_reproduces_frames(animator: Animator, job: Job, tmp_path: Path) -> None:
    result, frames = run(animator, job(), tmp_path / "a")
    _, again = run(animator, load_request(result.request), tmp_path / "b")
    np.testing.assert_array_equal(frames, again)


def three_people(two_person: Path, path: Path) -> Path:
    """The bundled picture with its left half repeated at the right."""
    pixels = load_photo(two_person).pixels
    save_image(path, np.concatenate([pixels, pixels[:, : pixels.shape[1] // 2]], axis=1))
    return path


def test_wan_drives_one_face_and_three(
    animator: Animator, job: Job, inputs: Inputs, two_person: Path, tmp_path: Path, sampled: list[np.ndarray]
) -> None:
    """Each of three faces has a clip, a motion or nothing; a change of one driver changes its face most."""
    _, one = run(animator, job(Role(1, ClipSource(inputs.talking)), photo=inputs.photo), tmp_path / "one")
    assert len(one) == 5
    photo = three_people(two_person, tmp_path / "three.png")
    talk, nod = ClipSource(inputs.talking), ClipSource(inputs.nodding_pair, person=1)
    casts = {
        "clips": (Role(1, talk), Role(2, nod), Role(3, talk)),
        "motion": (Role(1, talk), Role(2, BuiltinSource("nod")), Role(3, talk)),
        "still": (Role(1, talk), Role(3, talk)),
        "free": (Role(1, talk), Role(2, FreeSource()), Role(3, talk)),
    }
    made = {}
    for name, cast in casts.items():
        _, made[name] = run(animator, job(*cast, photo=photo), tmp_path / name)
        assert made[name].shape == (5, 48, 128, 3)
    names = list(casts)
    for i, name in enumerate(names):
        for other in names[:i]:
            assert (made[name] != made[other]).any(), f"{name} is the same as {other}"
            latents = [sampled[1 + names.index(each)] for each in (name, other)]
            left, middle, right = changes_at_faces(animator, photo, *latents)
            assert middle > 5 * max(left, right), f"{name} and {other} differ elsewhere"


def test_wan_all_faces_free_or_still(animator: Animator, job: Job, tmp_path: Path) -> None:
    _, free = run(animator, job(Role(1, FreeSource()), Role(2, FreeSource())), tmp_path / "free")
    _, still = run(animator, job(Role(1, None), Role(2, None)), tmp_path / "still")
    assert free.shape == still.shape and (free != still).any()


@pytest.mark.parametrize(
    "changes",
    [
        {"face_mask": "head"},
        {"alignment": "mesh"},
        {"absolute": False},
        {"guidance_scale": 3.0, "prompt": "people talk", "negative_prompt": "people smile"},
        {"portrait_guidance_scale": 1.0},
        {"portrait_guidance_end": 0.5},
    ],
    ids=["face mask", "alignment", "relative", "text", "no portrait guidance", "guidance on a part"],
)
def test_wan_options_change_frames(
    animator: Animator, job: Job, tmp_path: Path, known: Known, changes: dict[str, object]
) -> None:
    plain = frames_of(animator, job(), tmp_path / "plain", known)
    _, changed = run(animator, job(**changes), tmp_path / "changed")
    assert (plain != changed).any()


def test_wan_uses_segment_anything_masks(job: Job, models_dir: Path, tmp_path: Path) -> None:
    """From the folder `sam` of the models folder; here a tiny model, so its masks are noise, but they reach the
    frames."""
    folder = tmp_path / "models"
    shutil.copytree(models_dir, folder, ignore=shutil.ignore_patterns("wan"))
    tiny_sam().save_pretrained(folder / "sam")
    animator = Animator(folder, tmp_path / "cache", RuntimeConfig(device="cpu"))
    _, segmented = run(animator, job(STILL, face_mask="segment"), tmp_path / "segmented")
    _, boxes = run(animator, job(STILL), tmp_path / "boxes")
    assert segmented.shape == boxes.shape and (segmented != boxes).any()


def test_wan_batched_passes_give_same_frames(animator: Animator, job: Job, tmp_path: Path, known: Known) -> None:
    separate = frames_of(animator, job(), tmp_path / "separate", known)
    _, batched = run(animator, job(batch_passes=True), tmp_path / "batched")
    assert np.abs(separate.astype(int) - batched).max() <= 2


def test_wan_role_options_change_own_face(
    animator: Animator, job: Job, inputs: Inputs, tmp_path: Path, sampled: list[np.ndarray]
) -> None:
    talk = Role(1, ClipSource(inputs.talking))
    _, plain = run(animator, job(talk), tmp_path / "plain")
    for number, options in enumerate(({"strength": 0.3}, {"regions": Regions(mouth=False)}, {"mirror": True})):
        _, changed = run(animator, job(replace(talk, **options)), tmp_path / str(number))
        first, second = changes_at_faces(animator, inputs.pair, sampled[0], sampled[-1])
        assert (plain != changed).any() and first > 10 * second, options


def test_wan_renders_201_frames_in_windows(animator: Animator, job: Job, inputs: Inputs, tmp_path: Path) -> None:
    request = job(
        Role(1, ClipSource(inputs.talking)),
        duration=201 / 25,
        num_inference_steps=1,
        max_window_frames=81,
        max_side=64,
        sound="none",
    )
    result, frames = run(animator, request, tmp_path / "long.mp4")
    assert result.frames == len(frames) == 201
    assert not probe_clip(result.video).has_sound


def test_wan_stages_are_ordered_with_preview_images(animator: Animator, job: Job, tmp_path: Path) -> None:
    seen: list[Event] = []
    animator.animate(job(num_inference_steps=3), tmp_path / "out.mp4", on_event=seen.append)
    stages = [event.name for event in seen if isinstance(event, events.Stage)]
    assert stages == ["portrait", "driving", "model", "motion", "sample", "render", "finish"]
    begin = next(i for i, event in enumerate(seen) if isinstance(event, events.Stage) and event.name == "sample")
    end = next(i for i, event in enumerate(seen) if isinstance(event, events.Stage) and event.name == "render")
    looks = [event.image.shape for event in seen[begin:end] if isinstance(event, events.PreviewImage)]
    assert looks == [(80 // 8 * 4, 128 // 8 * 4, 3)] * 3


def test_wan_cancel_while_sampling_leaves_no_output(animator: Animator, job: Job, tmp_path: Path) -> None:
    token = CancelToken()

    def on_event(event: Event) -> None:
        if isinstance(event, events.Step) and event.stage == "sample":
            token.cancel()

    with pytest.raises(Cancelled):
        animator.animate(job(num_inference_steps=50), tmp_path / "out.mp4", cancel=token, on_event=on_event)
    assert not list(tmp_path.iterdir())
    run(animator, job(), tmp_path / "next.mp4")


def test_wan_failed_writer_unlocks_engine(animator: Animator, job: Job, tmp_path: Path) -> None:
    """An error in the middle of the frames must not leave the engine locked."""
    failing = tmp_path / "out.mp4"

    def on_event(event: Event) -> None:
        if isinstance(event, events.Stage) and event.name == "render":
            raise RuntimeError("the listener broke")

    with pytest.raises(RuntimeError):
        animator.animate(job(), failing, on_event=on_event)
    run(animator, job(), tmp_path / "next.mp4")


def test_wan_missing_model_is_refused_before_tracking(animator: Animator, job: Job, tmp_path: Path) -> None:
    """The error comes before any clip is tracked."""
    seen: list[Event] = []
    with pytest.raises(WeightsError, match=r"weights fetch wan-720p"):
        animator.animate(job(model="wan-720p"), tmp_path / "out.mp4", on_event=seen.append)
    assert not seen
    with pytest.raises(WeightsError, match="there is no model"):
        animator.animate(job(model="./nowhere"), tmp_path / "out.mp4")
    with pytest.raises(WeightsError, match="Segment Anything is not in"):
        animator.animate(job(face_mask="segment"), tmp_path / "out.mp4")
    with pytest.raises(RequestError, match="device is"):
        Animator(runtime_config=RuntimeConfig(device="meta")).animate(job(), tmp_path / "out.mp4")
    assert not list(tmp_path.iterdir())


def test_preview_engine_renders_wan_request(animator: Animator, job: Job, tmp_path: Path) -> None:
    _, frames = run(animator, replace(job(), engine="preview", max_side=640), tmp_path / "out.mp4")
    assert len(frames) == 5


@pytest.mark.parametrize(("frames", "sampled"), [(1, 5), (5, 5), (6, 9), (80, 81), (81, 81), (100, 101)])
def test_wan_frame_count_is_rounded_up(frames: int, sampled: int) -> None:
    assert sampled_frames(frames) == sampled


def test_wan_waiting_request_can_be_cancelled(animator: Animator, job: Job, tmp_path: Path) -> None:
    """While another one renders, a request waits with its model stage begun, and can be cancelled."""
    engine, seen, token = animator.engine("wan"), [], CancelToken()
    engine._lock.acquire()
    try:
        waiting = threading.Thread(
            target=lambda: seen.extend(animator.events(job(), tmp_path / "out.mp4", token)), daemon=True
        )
        waiting.start()
        while not any(isinstance(event, events.Stage) and event.name == "model" for event in seen):
            assert waiting.is_alive()
            waiting.join(0.05)
        waiting.join(3 * POLL_INTERVAL_S)
        assert waiting.is_alive()
        token.cancel()
        waiting.join(60)
        assert not waiting.is_alive()
    finally:
        engine._lock.release()
    assert isinstance(seen[-1], events.Cancelled)
    stages = [event.name for event in seen if isinstance(event, events.Stage)]
    assert stages == ["portrait", "driving", "model"]
    run(animator, job(), tmp_path / "next.mp4")


def test_wan_frees_model_before_loading_next(
    job: Job, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first model is gone before the second is loaded."""
    shutil.copytree(tiny_model, tmp_path / "other", ignore=shutil.ignore_patterns("assembled-*"))
    loaded, alive = [], []
    real = pipeline_manager.load_pipeline

    def load(*args: object) -> FantasyPortraitPipeline:
        alive.append(sum(model() is not None for model in loaded))
        pipeline = real(*args)
        loaded.append(weakref.ref(pipeline.transformer))
        return pipeline

    monkeypatch.setattr(pipeline_manager, "load_pipeline", load)
    animator = Animator(cache_dir=tmp_path / "cache", runtime_config=RuntimeConfig(device="cpu"))
    for number, model in enumerate((tiny_model, tiny_model, tmp_path / "other")):
        run(animator, job(STILL, model=model.as_posix(), num_inference_steps=1), tmp_path / str(number))
    assert alive == [0, 0] and len(loaded) == 2


def test_wan_padding_frames_hold_last_frame() -> None:
    """Padding frames share a latent frame with the last real ones, so their content affects these."""
    np.testing.assert_array_equal(_padded(np.array([0, 1, 2]), 5), [0, 1, 2, 2, 2])
    np.testing.assert_array_equal(_padded(np.array([0, 1]), 2), [0, 1])


def test_wan_built_in_motion_is_relative_to_rest(
    animator: Animator, job: Job, tmp_path: Path, inputs: Inputs, sampled: list[np.ndarray]
) -> None:
    """Unless the request is absolute, the expression of the bundled portrait is not transferred."""
    role = Role(1, BuiltinSource("talk"))
    made = [
        run(animator, job(role, absolute=absolute), tmp_path / str(absolute))[1] for absolute in (None, False, True)
    ]
    np.testing.assert_array_equal(made[0], made[1])
    first, second = changes_at_faces(animator, inputs.pair, sampled[0], sampled[2])
    assert (made[0] != made[2]).any() and first > 10 * second


def test_wan_draws_motion_file_for_its_encoder(
    animator: Animator, job: Job, tmp_path: Path, inputs: Inputs, sampled: list[np.ndarray]
) -> None:
    """A motion file drives its own face, each in its own way, and takes the options of a role."""
    roles = []
    for number, (clip, person) in enumerate(((inputs.talking, 1), (inputs.nodding_pair, 2))):
        export_motion(animator.inputs, ClipSource(clip, person), tmp_path / f"{number}.motion.json")
        roles.append(Role(1, ClipSource(tmp_path / f"{number}.motion.json")))
    roles += [replace(roles[0], mirror=True), replace(roles[0], strength=0.2)]
    made = [run(animator, job(role), tmp_path / f"out{number}")[1] for number, role in enumerate(roles)]
    for other, latents in zip(made[1:], sampled[1:], strict=True):
        first, second = changes_at_faces(animator, inputs.pair, sampled[0], latents)
        assert (made[0] != other).any() and first > 10 * second


def test_wan_says_that_its_frames_are_opaque(animator: Animator, job: Job, inputs: Inputs, tmp_path: Path) -> None:
    pixels = load_photo(inputs.pair).pixels
    alpha = np.full(pixels.shape[:2], 255, np.uint8)
    alpha[:20] = 0
    save_image(tmp_path / "cut.png", np.dstack([pixels, alpha]))
    result = animator.animate(job(STILL, photo=tmp_path / "cut.png"), tmp_path / "out.webm")
    assert "transparent parts were laid on white: the engine wan makes opaque frames" in result.messages
    with av.open(str(result.video)) as container:
        assert "alpha_mode" not in container.streams.video[0].metadata


def test_wan_smoothing_applies_to_mesh_alignment(job: Job, tiny_model: Path) -> None:
    loader = MotionNetLoader(prepare_model(tiny_model.as_posix()))
    keys = [
        loader.motion_nets(job(alignment=alignment, smoothing=smoothing)).key
        for alignment in ("mesh", "original")
        for smoothing in (0.0, 1.0)
    ]
    assert keys[0] != keys[1] and keys[2] == keys[3]
