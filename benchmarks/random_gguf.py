"""Random matrices in GGUF blocks: valid scales, random bytes for the rest."""

from dataclasses import dataclass
from types import MappingProxyType

import gguf
import torch
from diffusers.quantizers.gguf.utils import GGML_QUANT_SIZES, GGUFParameter

from fantasyportrait.runtime.profiles import Profile

_HALVES = 2  # bytes of a float16


@dataclass(frozen=True)
class _Kind:
    """A type of block: the float16 scales at its beginning, chosen so that weights are some hundredths."""

    name: str
    scales: tuple[float, ...]

    @property
    def code(self) -> gguf.GGMLQuantizationType:
        """GGUF's code of the type."""
        return gguf.GGMLQuantizationType[self.name]


# The first kind whose blocks fill a row is taken: tiny models have rows too short for the large ones.
_KINDS: MappingProxyType[str, tuple[_Kind, ...]] = MappingProxyType(
    {
        "gguf-q8": (_Kind("Q8_0", (2.7e-4,)),),
        "gguf-q4": (_Kind("Q4_K", (1e-4, 7.5e-4)), _Kind("Q4_0", (4.3e-3,))),
    }
)


def bits(profile: Profile) -> float:
    """Bits of a weight of such a matrix, scales included."""
    length, size = GGML_QUANT_SIZES[_KINDS[profile.name][0].code]
    return 8 * size / length


def random_blocks(profile: Profile, rows: int, columns: int, device: torch.device) -> GGUFParameter:
    """A matrix (rows, columns) as the files of that profile hold it: uint8 (rows, bytes of a row).

    Files of Q4_K_M hold some of their matrices in 6 bits; here all are in Q4_K, 4.5 bits a number.
    """
    kind = next(each for each in _KINDS[profile.name] if columns % GGML_QUANT_SIZES[each.code][0] == 0)
    length, size = GGML_QUANT_SIZES[kind.code]
    # On the meta device this is only a shape.
    blocks = torch.empty(rows, columns // length, size, dtype=torch.uint8, device=device)
    if device.type != "meta":
        blocks.random_(0, 256)
        for place, scale in enumerate(kind.scales):
            half = torch.tensor([scale], dtype=torch.float16, device=device).view(torch.uint8)
            blocks[..., place * _HALVES : (place + 1) * _HALVES] = half
    return GGUFParameter(blocks.flatten(1), quant_type=kind.code)
