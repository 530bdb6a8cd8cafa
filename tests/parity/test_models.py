"""The networks give the public code's numbers."""

import numpy as np
import torch

from fantasyportrait.models.motion_adapter import MotionAdapter
from fantasyportrait.models.token_windows import token_windows
from tests.parity.cases import Cases
from tests.parity.networks import encoder_of


def by_size(arrays: dict[str, np.ndarray], stem: str) -> list[int]:
    return sorted(int(key.rsplit("_", 1)[1]) for key in arrays if key.startswith(f"{stem}_"))


@torch.no_grad()
def test_adapter_equals_public_code(cases: Cases, adapter: MotionAdapter) -> None:
    case = cases.arrays("adapter")
    lengths = by_size(case, "features")
    assert lengths
    for length in lengths:
        features = torch.from_numpy(case[f"features_{length}"])
        tokens = adapter.frame_tokens(features)
        np.testing.assert_allclose(tokens[..., ::16], case[f"frame_tokens_{length}"], atol=2e-5)
        np.testing.assert_allclose(adapter(features)[..., ::8], case[f"windows_{length}"], atol=2e-5)


def test_token_windows_equal_public_code(cases: Cases) -> None:
    """The first and last token of each window, counted in the flat row of tokens, which begin at 1 here."""
    for frames, spans in cases.json("token_windows").items():
        count = 24 * int(frames)
        windows = token_windows(torch.arange(1.0, count + 1).reshape(1, int(frames), 24, 1))[0, :, :, 0]
        assert len(windows) == len(spans)
        for window, (first, last) in zip(windows, spans, strict=True):
            real = range(max(int(first), 0), int(last) + 1)
            assert window[: len(real)].tolist() == [i + 1 for i in real]
            assert not window[len(real) :].any() and len(window) == int(last) - int(first) + 1


@torch.no_grad()
def test_motion_encoder_equals_public_code(cases: Cases) -> None:
    case = cases.arrays("motion_encoder")
    crops = np.clip(cases.normal("input:crop", (len(case["mouth"]), 3, 224, 224)), -1, 1).astype(np.float32)
    features = encoder_of(cases)(torch.from_numpy(crops)).numpy()
    expected = np.concatenate([case[name] for name in ("head_pose", "eyes", "emotion", "mouth")], axis=1)
    assert np.abs(features - expected).max() <= 1e-4 * np.abs(expected).max()
    for name, part in zip(("head_pose", "eyes", "emotion", "mouth"), np.split(features, [6, 12, 42], 1), strict=True):
        np.testing.assert_allclose(part, case[name], rtol=1e-4, atol=1e-4 * np.abs(case[name]).max(), err_msg=name)
