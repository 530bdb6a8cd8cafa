"""Check of a GGUF file of the base's transformer and its quantization; the pipeline loads it."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from fantasyportrait.core.errors import WeightsError
from fantasyportrait.core.optional import require

_MAGIC = b"GGUF"
# Original Wan names: only image-to-video models have attention to the image in the first block.
_OF_EVERY_WAN = ("patch_embedding.weight", "blocks.0.cross_attn.k.weight", "head.head.weight")
_OF_IMAGE_TO_VIDEO = "blocks.0.cross_attn.k_img.weight"


@dataclass(frozen=True)
class GgufFile:
    """Properties of a GGUF file: the type of most of its weights ("Q4_K"), and the number of its blocks."""

    path: Path
    quantization: str
    blocks: int


def read_gguf(path: Path) -> GgufFile:
    """Read the properties of a GGUF file without its weights.

    Raises `WeightsError` for a file that is none, is damaged, or holds another network than Wan image-to-video, and
    `DependencyError` without the package gguf.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(len(_MAGIC))
    except OSError as error:
        raise WeightsError(
            "{path} cannot be read ({strerror}): fetch it again", path=path, strerror=error.strerror
        ) from error
    if magic != _MAGIC:
        raise WeightsError("{path} is not a GGUF file: fetch it again, or give another one", path=path)
    library = require("gguf", extra="gguf", purpose="a quantized transformer in a GGUF file")
    try:
        tensors = library.GGUFReader(path).tensors
    except (ValueError, IndexError, KeyError, OverflowError, MemoryError, OSError, UnicodeDecodeError) as error:
        raise WeightsError("{path} is a damaged GGUF file ({error}): fetch it again", path=path, error=error) from error
    names = {str(tensor.name) for tensor in tensors}
    missing = [name for name in _OF_EVERY_WAN if name not in names]
    if missing:
        raise WeightsError(
            "{path} is no transformer of Wan: it has no {missing}; use one of `weights list`",
            path=path,
            missing=missing[0],
        )
    if _OF_IMAGE_TO_VIDEO not in names:
        raise WeightsError(
            "{path} is a text-to-video model: without {of_image_to_video}; use an image-to-video one",
            path=path,
            of_image_to_video=_OF_IMAGE_TO_VIDEO,
        )
    types: Counter[str] = Counter()
    for tensor in tensors:
        types[tensor.tensor_type.name] += int(tensor.n_elements)
    blocks = {name.split(".")[1] for name in names if name.startswith("blocks.")}
    return GgufFile(path, types.most_common(1)[0][0], len(blocks))
