"""The diffusion engine's model: assembles original files into one folder, and loads the motion nets."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from fantasyportrait.core.errors import WeightsError
from fantasyportrait.core.files import file_sha256
from fantasyportrait.core.optional import check_installed, require
from fantasyportrait.engines.wan_motion import Segmenter
from fantasyportrait.motion.motion_nets import CropEncoder, MotionNets
from fantasyportrait.motion.portrait_landmarks import PortraitLandmarkNet
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.schema.sampling import Sampling
from fantasyportrait.weights.assemble import NetworkSpec, WanNetworkSpecs, assemble
from fantasyportrait.weights.gguf_file import read_gguf
from fantasyportrait.weights.original_files import FACE_LANDMARKS
from fantasyportrait.weights.store import fetch_command, models_dir as usual_models_dir
from fantasyportrait.weights.wan_paths import WanPaths, wan_lora, wan_paths

# Configs next to the pickles of a model of another size; a model of the original size needs none.
ADAPTER_CONFIG, ENCODER_CONFIG = "motion_adapter.json", "motion_encoder.json"
ENCODER_WEIGHTS = "diffusion_pytorch_model.safetensors"
SAM_FOLDER = "sam"
MIN_FRAMES = 5


@dataclass(frozen=True)
class WanModel:
    """A model ready to load: the assembled folder, and a GGUF file that replaces its transformer's weights."""

    folder: Path
    gguf: Path | None = None


def check_model(sampling: Sampling, models_dir: Path | None = None) -> None:
    """Raise `WeightsError` or `DependencyError` where a file or package is missing that this sampling needs.

    Nothing is opened or imported.
    """
    check_installed("diffusers", extra="wan", purpose="the wan engine")
    sources = wan_paths(sampling.model, models_dir)
    if sources.gguf is not None:
        check_installed("gguf", extra="gguf", purpose=f"the model {sampling.model}")
    if sampling.alignment == "original":
        check_installed("onnxruntime", extra="wan", purpose="alignment as in the original")
    if lora_file(sampling, models_dir) is not None:
        check_installed("peft", extra="wan", purpose=f"the LoRA {sampling.lora}")
    if sampling.face_mask == "segment":
        _sam_folder(models_dir)


def lora_file(sampling: Sampling, models_dir: Path | None = None) -> Path | None:
    """The file of the LoRA that this sampling needs, None for none; `WeightsError` where it is missing."""
    return None if sampling.lora == "none" else wan_lora(sampling.model, sampling.lora, models_dir)


def sampled_frames(frames: int) -> int:
    """The smallest number 4 k + 1 that is at least `frames`, and at least 5."""
    return max(MIN_FRAMES, 4 * math.ceil((frames - 1) / 4) + 1)


def file_size(file: Path | None) -> int:
    """The file's size in bytes; 0 for None."""
    return 0 if file is None else file.stat().st_size


def prepare_model(model: str, models_dir: Path | None = None) -> WanModel:
    """Make the assembled folder of a catalog name or a model folder, once; later calls find it.

    Every original tensor is checked by name and shape. Raises `WeightsError` that names what is missing or wrong,
    `DependencyError` without the packages of the extra `wan`.
    """
    require("diffusers", extra="wan", purpose="the wan engine")
    sources = wan_paths(model, models_dir)
    if sources.gguf is not None:
        read_gguf(sources.gguf)
    folder = assemble(sources, _networks(sources), sources.base.parent / f"assembled-{_name(sources)}")
    if sources.gguf is None and not (folder / "model_index.json").is_file():
        from fantasyportrait.pipelines.loading import write_model_index

        write_model_index(folder, sources.base)
    return WanModel(folder, sources.gguf)


class MotionNetLoader:
    """Loads the motion nets of a model, each when it is first needed, and keeps them."""

    def __init__(self, model: WanModel) -> None:
        self._model = model

    def motion_nets(self, request: AnimationRequest) -> MotionNets:
        """The motion encoder, with the alignment that the request names: by the original net, which smooths as in the
        original, or by the mesh with the request's smoothing."""
        encode, digest = self._encoder
        if request.sampling.alignment == "mesh":
            return MotionNets(encode, digest, smoothing=request.smoothing)
        return MotionNets(encode, digest, self._landmark_net)

    @cached_property
    def _encoder(self) -> tuple[CropEncoder, str]:
        """The motion encoder and the sha256 of its weights."""
        from fantasyportrait.models.motion_encoder import CropEncoder

        folder = self._model.folder / "motion_encoder"
        return CropEncoder(folder), file_sha256(folder / ENCODER_WEIGHTS)

    @cached_property
    def _landmark_net(self) -> PortraitLandmarkNet:
        return PortraitLandmarkNet(self._model.folder / FACE_LANDMARKS)


def segmenter(models_dir: Path | None = None) -> Segmenter:
    """Segment Anything from the folder `sam` of the models folder; `WeightsError` where it is missing."""
    folder = _sam_folder(models_dir)
    from fantasyportrait.models.segment_anything import load_sam, segment
    from fantasyportrait.runtime.library_logging import quiet_libraries

    with quiet_libraries():
        return partial(segment, load_sam(str(folder)))


def _sam_folder(models_dir: Path | None) -> Path:
    folder = (models_dir or usual_models_dir()) / SAM_FOLDER
    if not (folder / "config.json").is_file():
        command = fetch_command("sam", models_dir)
        raise WeightsError(
            "Segment Anything is not in {folder}: run  {command}, or choose the face mask box or head",
            folder=folder,
            command=command,
        )
    return folder


def _networks(sources: WanPaths) -> WanNetworkSpecs:
    """The specs of our networks: sizes from the configs of base and adapter; without a config, the original sizes."""
    from fantasyportrait.models import shapes
    from fantasyportrait.models.motion_adapter import MotionAdapter
    from fantasyportrait.models.motion_encoder import MotionEncoder
    from fantasyportrait.models.transformer import FantasyPortraitTransformer3DModel

    adapter = shapes.full_config(MotionAdapter, _config(sources.adapter / ADAPTER_CONFIG))
    encoder = shapes.full_config(MotionEncoder, _config(sources.adapter / ENCODER_CONFIG))
    stock = _config(sources.base / "transformer" / "config.json")
    transformer = shapes.full_config(FantasyPortraitTransformer3DModel, {**stock, "motion_dim": adapter["motion_dim"]})
    return WanNetworkSpecs(
        transformer=NetworkSpec(shapes.transformer_shapes(transformer), transformer),
        motion_adapter=NetworkSpec(shapes.adapter_shapes(adapter), adapter),
        motion_encoder=NetworkSpec(shapes.encoder_shapes(encoder), encoder),
    )


def _config(path: Path) -> Mapping[str, Any]:
    """A config.json without diffusers' own entries; empty where there is none. Raises `WeightsError`."""
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError("{path} cannot be read ({error}): fetch the model again", path=path, error=error) from error
    if not isinstance(content, dict):
        raise WeightsError("{path} holds no settings: fetch the model again", path=path)
    return {key: value for key, value in content.items() if not key.startswith("_")}


def _name(sources: WanPaths) -> str:
    return sources.base.name if sources.gguf is None else sources.gguf.stem
