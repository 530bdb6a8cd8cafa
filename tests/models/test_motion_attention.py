"""Motion attention: bit-equal to stock without motion, and each token attends to its own face only."""

from collections.abc import Iterator

import pytest
import torch
from diffusers import WanTransformer3DModel
from diffusers.models.attention_dispatch import attention_backend

from fantasyportrait.models.transformer import FantasyPortraitTransformer3DModel
from fantasyportrait.pipelines.motion_conditioning import face_attention_mask
from tests.models.factories import GRID, tiny_inputs, tiny_labels, tiny_motion, tiny_transformer

WINDOW = 97


@pytest.fixture(autouse=True)
def native_backend() -> Iterator[None]:
    with attention_backend("native"), torch.no_grad():
        yield


@pytest.fixture(scope="module")
def model() -> FantasyPortraitTransformer3DModel:
    return tiny_transformer()


def stock_twin(model: FantasyPortraitTransformer3DModel) -> WanTransformer3DModel:
    """Diffusers' own transformer with the same weights."""
    config = {key: value for key, value in model.config.items() if key != "motion_dim" and not key.startswith("_")}
    twin = WanTransformer3DModel(**config)
    twin.load_state_dict({key: value for key, value in model.state_dict().items() if "_motion" not in key})
    return twin.eval()


def key_mask(labels: torch.Tensor, faces: list[int]) -> torch.Tensor:
    return face_attention_mask(labels, faces).repeat_interleave(WINDOW, dim=1)[None, None]


def branch(model: FantasyPortraitTransformer3DModel, motion: torch.Tensor, mask: torch.Tensor) -> list[torch.Tensor]:
    """The cross-attention output of every block, (tokens, dim) each, with the same input for all: motion reaches a
    token only through the motion branch, not through what earlier blocks made of it."""
    generator = torch.Generator().manual_seed(3)
    frames, rows, columns = GRID
    dim = model.config.num_attention_heads * model.config.attention_head_dim
    hidden = torch.randn(1, frames * rows * columns, dim, generator=generator)
    context = torch.randn(1, 519, dim, generator=generator)
    tokens, whole, query_mask, scale, tokens_per_frame = model._motion(1, GRID, motion, mask, 1.0)
    return [
        block.attn2(
            hidden, context, motion_hidden_states=tokens, motion_attention_mask=whole, motion_query_mask=query_mask,
            motion_scale=scale, tokens_per_frame=tokens_per_frame,
        )[0]
        for block in model.blocks
    ]  # fmt: skip


def test_transformer_without_motion_equals_stock_wan(model: FantasyPortraitTransformer3DModel) -> None:
    inputs, motion = tiny_inputs(), tiny_motion(1)
    expected = stock_twin(model)(**inputs).sample
    assert torch.equal(model(**inputs).sample, expected)
    assert torch.equal(model(**inputs, motion_hidden_states=motion, motion_scale=0.0).sample, expected)
    # Without a mask every token attends to the motion.
    assert (model(**inputs, motion_hidden_states=motion).sample != expected).any(dim=1).all()


def test_per_sample_motion_scale_equals_single_passes(model: FantasyPortraitTransformer3DModel) -> None:
    motion = tiny_motion(1)
    both = model(
        **tiny_inputs(batch=2), motion_hidden_states=motion.expand(2, -1, -1, -1), motion_scale=torch.tensor([1.0, 0.0])
    ).sample
    alone = model(**tiny_inputs(), motion_hidden_states=motion).sample
    torch.testing.assert_close(both[:1], alone, atol=1e-5, rtol=0)
    torch.testing.assert_close(both[1:], model(**tiny_inputs()).sample, atol=1e-5, rtol=0)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_face_tokens_attend_to_own_motion_only(model: FantasyPortraitTransformer3DModel, count: int) -> None:
    """In every block: another face's motion changes nothing at a face's tokens, its own does, each changes the
    background.

    The public code fails this for three faces. Its mask is negated and its clips are reversed, so that with faces 1,
    2, 3 the tokens of face i attend to every clip but the (4 - i)th: face 1 attends to clips 1 and 2, face 3 to clips 2
    and 3, and face 2 to all except its own. With two faces the two errors cancel.
    """
    labels, faces = tiny_labels(count), list(range(1, count + 1))
    mask = key_mask(labels, faces)
    motion = tiny_motion(count)
    before = branch(model, motion, mask)
    place = labels.flatten().repeat(GRID[0])
    for changed in faces:
        other = motion.clone()
        columns = slice(WINDOW * (changed - 1), WINDOW * changed)
        other[:, :, columns] = tiny_motion(1, seed=100 + changed)
        after = branch(model, other, mask)
        for old, new in zip(before, after, strict=True):
            for face in faces:
                at = place == face
                if face == changed:
                    assert (old[at] != new[at]).any(dim=1).all()
                else:
                    assert torch.equal(old[at], new[at])
            assert (old[place == 0] != new[place == 0]).any(dim=1).all()


def test_public_mask_rule_fails_for_three_faces() -> None:
    """The public code's rule, written out: face 2 attends to clips 1 and 3, but not its own."""
    own = torch.eye(3, dtype=torch.bool)
    negated_and_reversed = ~own.flip(1)
    assert not negated_and_reversed[1, 1] and negated_and_reversed[1, 0] and negated_and_reversed[1, 2]
    two = ~torch.eye(2, dtype=torch.bool).flip(1)
    assert torch.equal(two, torch.eye(2, dtype=torch.bool))
    ours = face_attention_mask(torch.tensor([[1, 2, 3]]), [1, 2, 3])
    assert torch.equal(ours, own)


def test_frame_tokens_attend_to_own_window_only(model: FantasyPortraitTransformer3DModel) -> None:
    mask, motion = key_mask(tiny_labels(2), [1, 2]), tiny_motion(2)
    later = motion.clone()
    later[:, 1] += 1.0
    tokens = GRID[1] * GRID[2]
    for old, new in zip(branch(model, motion, mask), branch(model, later, mask), strict=True):
        same = (old == new).all(dim=1)
        assert same[:tokens].all() and same[2 * tokens :].all() and not same[tokens : 2 * tokens].any()


def test_free_face_gets_zero_motion(model: FantasyPortraitTransformer3DModel) -> None:
    """Its tokens come out as without the branch, and nothing is NaN."""
    labels = tiny_labels(3)
    mask, motion = key_mask(labels, [1, 3]), tiny_motion(2)
    silent = branch(model, torch.zeros_like(motion), torch.zeros_like(mask))
    place = labels.flatten().repeat(GRID[0])
    for old, new in zip(silent, branch(model, motion, mask), strict=True):
        assert torch.isfinite(new).all()
        assert torch.equal(old[place == 2], new[place == 2])
        assert (old[place == 1] != new[place == 1]).any(dim=1).all()


def test_empty_motion_mask_equals_stock_wan(model: FantasyPortraitTransformer3DModel) -> None:
    no_token = torch.zeros(1, 1, GRID[1] * GRID[2], WINDOW, dtype=torch.bool)
    out = model(**tiny_inputs(), motion_hidden_states=tiny_motion(1), motion_attention_mask=no_token).sample
    assert torch.equal(out, model(**tiny_inputs()).sample)


def test_motion_branch_always_uses_mask_safe_backend(
    model: FantasyPortraitTransformer3DModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flash and Sage refuse a query-dependent mask, varlen backends merge it: the branch must not follow them."""
    import fantasyportrait.models.motion_attention as room

    seen = []
    real = room.dispatch_attention_fn

    def spy(*args: object, **kwargs: object) -> torch.Tensor:
        seen.append((kwargs.get("backend"), kwargs.get("attn_mask") is not None))
        return real(*args, **{**kwargs, "backend": "native"})

    monkeypatch.setattr(room, "dispatch_attention_fn", spy)
    for block in model.blocks:
        monkeypatch.setattr(block.attn2.processor, "_attention_backend", "sage_varlen")
    branch(model, tiny_motion(2), key_mask(tiny_labels(2), [1, 2]))
    assert {backend for backend, masked in seen if masked} == {room.AttentionBackendName.NATIVE}
    assert {backend for backend, masked in seen if not masked} == {"sage_varlen"}


@pytest.mark.parametrize("shape", [(1, 2, 97, 32), (1, 3, 97, 31), (2, 3, 97, 32)])
def test_transformer_refuses_motion_shape(model: FantasyPortraitTransformer3DModel, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="the latents ask for"):
        model(**tiny_inputs(), motion_hidden_states=torch.zeros(shape))


def test_transformer_refuses_mask_shape(model: FantasyPortraitTransformer3DModel) -> None:
    with pytest.raises(ValueError, match="must broadcast"):
        model(
            **tiny_inputs(), motion_hidden_states=tiny_motion(1), motion_attention_mask=torch.ones(1, 1, 5, 97).bool()
        )
