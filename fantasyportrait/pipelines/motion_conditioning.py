"""Motion tokens of the driven faces, and the mask of the motion attention on the token grid."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from diffusers.utils.torch_utils import get_module_execution_device
from numpy.typing import NDArray
from torch.nn import functional

from fantasyportrait.core.errors import RequestError
from fantasyportrait.models.motion_adapter import MotionAdapter
from fantasyportrait.schema.driven_face import DrivenFace
from fantasyportrait.schema.motion_code import MotionCode

TOKEN_SIDE = 16
"""Pixels: 8 of the VAE times a patch of 2."""


@dataclass(frozen=True, eq=False)
class MotionConditioning:
    """The transformer's motion arguments for one window of time.

    Attributes:
        tokens: (1, F_lat, N * 97, motion_dim).
        mask: bool (1, F_lat or 1, tokens a frame, N * 97), True = may attend; None where every token attends to all.
        scale: (1, N * 97).
    """

    tokens: torch.Tensor
    mask: torch.Tensor | None
    scale: torch.Tensor

    def to(self, device: torch.device) -> "MotionConditioning":
        """The same on a device."""
        mask = None if self.mask is None else self.mask.to(device)
        return MotionConditioning(self.tokens.to(device), mask, self.scale.to(device))


def token_labels(face_map: NDArray[np.integer]) -> torch.Tensor:
    """A face map int (H, W), 0 background and i face i, pooled to the token grid (H / 16, W / 16), int64.

    A token belongs to a face as soon as one of its pixels does (max pooling, as in the original). Where several faces
    touch one token it belongs to the one with most pixels, so that no token attends to two faces; a face that would get
    none has its best one.
    """
    height, width = face_map.shape
    if height % TOKEN_SIDE or width % TOKEN_SIDE:
        raise ValueError(f"the face map is {width} x {height}: both sides must be multiples of {TOKEN_SIDE}")
    pixels = torch.from_numpy(face_map)
    ids = [int(face) for face in pixels.unique() if face > 0]
    if not ids:
        return torch.zeros(height // TOKEN_SIDE, width // TOKEN_SIDE, dtype=torch.long)
    planes = torch.stack([pixels == face for face in ids]).float()
    shares = functional.avg_pool2d(planes[None], TOKEN_SIDE)[0]
    share, best = shares.max(dim=0)
    labels = torch.where(share > 0, torch.tensor(ids)[best], 0)
    for number, face in enumerate(ids):
        if not (labels == face).any():
            _give_a_token(labels, face, shares[number])
    return labels


def _give_a_token(labels: torch.Tensor, face: int, share: torch.Tensor) -> None:
    """Give `face` the token of which it has most pixels, unless that is the only one of another face."""
    for place in share.flatten().argsort(descending=True).tolist():
        owner = labels.flatten()[place]
        if share.flatten()[place] > 0 and (labels == owner).sum() > 1:
            labels.view(-1)[place] = face
            return


def face_attention_mask(labels: torch.Tensor, faces: Sequence[int]) -> torch.Tensor:
    """Bool (tokens a frame, N): which tokens of the grid `labels` attend to each of the driven `faces`.

    A face's tokens attend to that face only, the background to all; a face that is not driven attends to none.
    """
    flat = labels.flatten()[:, None]
    return (flat == 0) | (flat == torch.tensor(list(faces)))


def motion_conditioning(
    adapter: MotionAdapter, faces: Sequence[DrivenFace[MotionCode]], labels: torch.Tensor
) -> MotionConditioning | None:
    """Tokens, mask and scale of the driven faces for one window of time; None where no face has a motion.

    `labels` (rows, columns) is the face map on the token grid. All motions play the same number of frames, 4 k + 1.
    """
    driven = [(face, face.motion.features[face.frame_rows]) for face in faces if face.motion is not None]
    if not driven:
        return None
    frames = len(driven[0][1])
    known = {int(label) for label in labels.unique()}
    for face, features in driven:
        if len(features) != frames:
            raise ValueError(
                f"face {face.face.id} plays {len(features)} frames, face {driven[0][0].face.id} plays {frames}: all "
                "faces need the same number of frames"
            )
        if face.face.id not in known:
            raise RequestError(
                "face {id} is driven but others cover it to the last token ({token_side} pixels of the "
                "video): make the video larger, or choose another face mask",
                id=face.face.id,
                token_side=TOKEN_SIDE,
            )
    device = get_module_execution_device(adapter)
    windows = adapter(torch.from_numpy(np.stack([features for _, features in driven])).to(device, torch.float32))
    # On the CPU: a long video has many windows, and only one of them is on the device at a time.
    tokens = windows.transpose(0, 1).flatten(1, 2).unsqueeze(0).cpu()
    on = torch.stack([adapter.token_mask(face.regions, frames) for face, _ in driven], dim=1)
    face_mask = face_attention_mask(labels, [face.face.id for face, _ in driven])
    if bool(on.all()):
        on = on[:1]
    # (F_lat or 1, 1, N, 97) and (1, tokens a frame, N, 1)
    mask = (on[:, None] & face_mask[None, :, :, None]).flatten(2).unsqueeze(0)
    strength = torch.tensor([face.strength for face, _ in driven], dtype=torch.float32)
    scale = strength.repeat_interleave(adapter.window_tokens).unsqueeze(0)
    return MotionConditioning(tokens, None if bool(mask.all()) else mask, scale)
