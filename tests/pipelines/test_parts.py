"""Windows, weights, guidance and masks: the rules that the pipeline is built from."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from fantasyportrait.core.errors import RequestError
from fantasyportrait.models.token_windows import latent_frames, token_windows
from fantasyportrait.pipelines.colour_match import ColourMatch
from fantasyportrait.pipelines.motion_conditioning import face_attention_mask, motion_conditioning, token_labels
from fantasyportrait.pipelines.time_windows import blend_weights, time_windows
from fantasyportrait.schema.driven_face import DrivenFace
from fantasyportrait.schema.guidance import needs_negative_prompt, step_passes, total_passes
from fantasyportrait.schema.regions import Regions
from fantasyportrait.schema.sampling import Sampling
from fantasyportrait.testing.tiny import tiny_adapter
from fantasyportrait.testing.tiny_faces import tiny_driven_face
from tests.pipelines.conftest import driven


@given(st.integers(1, 300), st.integers(2, 30), st.data())
def test_windows_cover_all_frames_with_unit_weights(latents: int, window: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(1, window - 1))
    windows = time_windows(latents, window, overlap)
    weights = blend_weights(windows)
    total = torch.zeros(latents)
    for each, weight in zip(windows, weights, strict=True):
        assert len(weight) == each.length <= window and each.start >= 0 and each.stop <= latents
        assert (weight >= 0).all()
        total[each.start : each.stop] += weight
    torch.testing.assert_close(total, torch.ones(latents))
    for weight in weights[1:]:
        assert weight[0] == 0, "a later window's own first frame is the portrait"


def test_time_windows_frame_ranges() -> None:
    first, second, third = time_windows(51, 21, 5)
    assert (first.start, second.start, third.start) == (0, 15, 30)
    assert first.frames == slice(0, 81) and second.frames == slice(60, 141) and third.frames == slice(120, 201)
    starts = [window.start for window in time_windows(54, 21, 5)]
    assert starts == [0, 11, 22, 33], "spread evenly, none nearly twice"


@pytest.mark.parametrize("overlap", [0, 21])
def test_windows_refuse_invalid_overlap(overlap: int) -> None:
    with pytest.raises(ValueError, match="overlap"):
        time_windows(51, 21, overlap)


VELOCITIES = {(True, False): 2.0, (False, False): 3.0, (False, True): 5.0, (True, True): 7.0}


def scales(text: float, portrait: float, steps: int = 10, **options: float) -> Sampling:
    return Sampling(guidance_scale=text, portrait_guidance_scale=portrait, num_inference_steps=steps, **options)


def guided(sampling: Sampling, motion: bool = True) -> float:
    return sum(VELOCITIES[each.motion, each.negative] * each.weight for each in step_passes(sampling, 0, motion))


def test_guidance_equals_four_original_cases() -> None:
    v_m, v_0, v_u, v_n = 2.0, 3.0, 5.0, 7.0
    assert guided(scales(1, 4)) == pytest.approx(v_0 + 4 * (v_m - v_0))
    assert guided(scales(5, 4)) == pytest.approx(v_u + 5 * (v_0 - v_u) + 4 * (v_m - v_0))
    assert guided(scales(1, 1)) == pytest.approx(v_m)
    assert guided(scales(5, 1)) == pytest.approx(v_n + 5 * (v_m - v_n))
    assert guided(scales(5, 4), motion=False) == pytest.approx(v_u + 5 * (v_0 - v_u))


def test_guidance_counts_passes_of_each_step() -> None:
    half = scales(1, 4, 4, portrait_guidance_start=0.25, portrait_guidance_end=0.5)
    assert [len(step_passes(half, step)) for step in range(4)] == [1, 2, 1, 1] and total_passes(half) == 5
    assert [len(step_passes(scales(5, 4, 2), step)) for step in range(2)] == [3, 3]
    equal = scales(4, 4)
    names = [each.name for each in step_passes(equal, 0)]
    assert names == ["motion-prompt", "still-negative"], "c - p has weight 0"
    assert guided(equal) == pytest.approx(4 * 2.0 - 3 * 5.0)
    assert needs_negative_prompt(scales(5, 4)) and not needs_negative_prompt(scales(1, 4))
    names = [each.name for each in step_passes(scales(5, 4), 0)]
    assert len(set(names)) == 3
    with pytest.raises(RequestError, match="portrait_guidance_end is"):
        scales(1, 4, portrait_guidance_start=0.6, portrait_guidance_end=0.5)


@given(st.integers(0, 40), st.integers(1, 6), st.integers(1, 3))
def test_token_windows_keep_frame_order(k: int, tokens: int, channels: int) -> None:
    """Latent frame i: the last token of frame 4i - 4, then frames 4i - 3 to 4i; frame 0: its tokens, then filling."""
    frames = 4 * k + 1
    video = torch.arange(1.0, frames * tokens * channels + 1).reshape(1, frames, tokens, channels)
    windows = token_windows(video, fill=-1.0)
    assert windows.shape == (1, latent_frames(frames), 4 * tokens + 1, channels)
    assert torch.equal(windows[0, 0, :tokens], video[0, 0]) and (windows[0, 0, tokens:] == -1).all()
    for i in range(1, k + 1):
        expected = torch.cat([video[0, 4 * i - 4, -1:], video[0, 4 * i - 3 : 4 * i + 1].flatten(0, 1)])
        assert torch.equal(windows[0, i], expected)


@given(st.integers(1, 5), st.integers(1, 5), st.data())
def test_token_labels_choose_largest_face(rows: int, columns: int, data: st.DataObject) -> None:
    """A token with face pixels belongs to the face with most pixels in it."""
    seed = data.draw(st.integers(0, 10**6))
    generator = torch.Generator().manual_seed(seed)
    blocks = torch.randint(0, 4, (4 * rows, 4 * columns), generator=generator)
    places = blocks.repeat_interleave(4, 0).repeat_interleave(4, 1)
    labels = token_labels(places.numpy())
    for row in range(rows):
        for column in range(columns):
            patch = places[16 * row : 16 * row + 16, 16 * column : 16 * column + 16]
            counts = [int((patch == face).sum()) for face in range(1, 4)]
            label = int(labels[row, column])
            assert (label == 0) == (sum(counts) == 0)
            most = counts[label - 1] == max(counts)
            # Or the only token of a face that has nowhere more pixels than others.
            assert label == 0 or most or (counts[label - 1] > 0 and (labels == label).sum() == 1)
    attends = face_attention_mask(labels, [1, 2, 3])
    assert (attends.sum(dim=1)[labels.flatten() > 0] == 1).all() and attends[labels.flatten() == 0].all()


def test_token_labels_keep_occluded_face() -> None:
    """Face 2 has fewer pixels than face 1 in each of its tokens: it still gets one, where it has most."""
    places = np.zeros((48, 48), np.int32)
    places[:, :44] = 1
    places[10:40, 44:] = 2
    labels = token_labels(places)
    assert (labels == 2).sum() == 1 and labels[1, 2] == 2
    swallowed = np.ones((16, 16), np.int32)
    swallowed[:, 15] = 2
    assert token_labels(swallowed).tolist() == [[1]], "one token cannot be two faces'"


def test_token_labels_count_one_face_pixel() -> None:
    places = np.zeros((32, 32), np.int32)
    places[16, 16] = 2
    assert token_labels(places).tolist() == [[0, 0], [0, 2]]


def test_token_labels_refuse_size_off_grid() -> None:
    with pytest.raises(ValueError, match="multiples of 16"):
        token_labels(np.zeros((20, 32), np.int32))


@torch.no_grad()
def test_disabled_groups_are_masked_not_zeroed() -> None:
    """Tokens of disabled groups keep their values and are masked; the zero padding of the first frame stays."""
    adapter, labels = tiny_adapter(), torch.tensor([[1, 1]])
    face = driven(1, 9)
    whole = motion_conditioning(adapter, [face], labels)
    no_mouth = motion_conditioning(adapter, [replace(face, regions=Regions(mouth=False), strength=0.5)], labels)
    assert whole.mask is None and torch.equal(whole.tokens, no_mouth.tokens)
    groups = ["filling" if token >= 24 else adapter.token_groups[token] for token in range(97)]
    assert groups.count("mouth") == 1 + 16 and groups.count("emotion") == 1 + 4
    assert no_mouth.mask[0, 0, 0].tolist() == [group != "mouth" for group in groups]
    assert (no_mouth.scale == 0.5).all() and (whole.scale == 1).all()
    assert motion_conditioning(adapter, [], labels) is None


@torch.no_grad()
def test_motion_windows_follow_frame_rows() -> None:
    adapter, labels = tiny_adapter(), torch.tensor([[1, 1]])
    face, rows = driven(1, 7), np.array([6, 0, 3, 3, 1, 5, 2, 4, 6])
    played = motion_conditioning(adapter, [replace(face, rows=rows)], labels)
    gathered = motion_conditioning(adapter, [tiny_driven_face(1, face.motion.features[rows])], labels)
    assert torch.equal(played.tokens, gathered.tokens)
    assert not torch.equal(played.tokens, motion_conditioning(adapter, [driven(1, 9)], labels).tokens)


@torch.no_grad()
def test_motion_conditioning_skips_face_without_motion() -> None:
    adapter, labels = tiny_adapter(), torch.tensor([[1, 2]])
    free = DrivenFace(driven(2, 9).face)
    alone, both = (motion_conditioning(adapter, faces, labels) for faces in ([driven(1, 9)], [driven(1, 9), free]))
    assert torch.equal(alone.tokens, both.tokens) and torch.equal(alone.mask, both.mask)
    assert both.mask.shape == (1, 1, 2, 97) and not both.mask[0, 0, 1].any()
    assert motion_conditioning(adapter, [free], labels) is None


def test_faces_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="same number of frames"):
        motion_conditioning(tiny_adapter(), [driven(1, 9), driven(2, 5)], torch.tensor([[1, 2]]))


def test_colour_correction_matches_portrait() -> None:
    generator = torch.Generator().manual_seed(0)
    portrait = torch.randint(60, 200, (32, 32, 3), generator=generator).numpy().astype("uint8")
    match = ColourMatch(portrait)
    drifted = (portrait * [0.9, 1.0, 1.1] + [5, -8, 3]).round().astype("uint8")
    for _ in range(3):
        out = match(drifted[None].repeat(4, axis=0))
    assert abs(out.mean(axis=(0, 1, 2)) - portrait.mean(axis=(0, 1))).max() < 1
    same = ColourMatch(portrait)(portrait[None])
    assert abs(same[0].astype(int) - portrait).max() <= 1
