"""A complete tiny model on the disk: real classes and file layouts, pickles included, with random weights."""

import json
from pathlib import Path

from fantasyportrait.core.errors import OutputError
from fantasyportrait.core.optional import require
from fantasyportrait.engines.wan_model import ADAPTER_CONFIG, ENCODER_CONFIG
from fantasyportrait.testing.tiny_onnx import write_tiny_detector, write_tiny_landmarks
from fantasyportrait.testing.tiny_pickles import write_pickles
from fantasyportrait.weights.original_files import FACE_NETS


def make_tiny(folder: Path) -> None:
    """Write `base/`, `adapter/` and `lora/` into a new or empty folder, for `--model FOLDER`; its videos are noise.

    Raises `OutputError` for a folder that holds something, `DependencyError` without the extras `wan` and `dev`.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(
            "{folder} exists and is not an empty folder: choose another place for the tiny model", folder=folder
        )
    for package, extra in (("diffusers", "wan"), ("onnx", "dev")):
        require(package, extra=extra, purpose="making a tiny model")
    from fantasyportrait.runtime.library_logging import quiet_libraries

    with quiet_libraries():
        try:
            _write(folder)
        except OSError as error:
            raise OutputError(
                "{folder} cannot be written ({reason}): choose another place",
                folder=folder,
                reason=error.strerror or error,
            ) from error


def _write(folder: Path) -> None:
    from fantasyportrait.testing import tiny

    tiny.tiny_base(folder / "base")
    adapter, encoder = tiny.tiny_adapter(), tiny.tiny_encoder()
    place = folder / "adapter"
    place.mkdir()
    attention = {key: value for key, value in tiny.tiny_transformer().state_dict().items() if "_motion" in key}
    write_pickles(place, adapter.state_dict(), attention, encoder.state_dict())
    for name, network in ((ADAPTER_CONFIG, adapter), (ENCODER_CONFIG, encoder)):
        settings = {key: value for key, value in network.config.items() if not key.startswith("_")}
        (place / name).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    detector, landmarks = (place / name for name in FACE_NETS)
    write_tiny_detector(detector)
    write_tiny_landmarks(landmarks)
    (folder / "lora").mkdir()
    tiny.save_tiny_lora(folder / "lora" / "tiny.safetensors")
