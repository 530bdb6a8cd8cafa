"""Paths of the diffusion engine's files, for a name of the catalog or a model folder of the user.

A model folder has `base/` (a stock diffusers repository of Wan image-to-video) and `adapter/` (the two original
pickles or the one-file repack, and the two face nets); `gguf/` and `lora/` may hold one file each.
"""

from dataclasses import dataclass
from pathlib import Path

from fantasyportrait.core.errors import RequestError, WeightsError
from fantasyportrait.core.suggest import did_you_mean
from fantasyportrait.weights.hub_catalog import HubModel, hub_model, hub_model_names
from fantasyportrait.weights.original_files import FACE_NETS, adapter_files
from fantasyportrait.weights.safetensors_header import read_weight_map
from fantasyportrait.weights.store import fetch_command, models_dir

WEIGHTS_NAMES = {
    "transformer": "diffusion_pytorch_model",
    "vae": "diffusion_pytorch_model",
    "text_encoder": "model",
    "image_encoder": "model",
}
"""Components of the base with weights, and the prefix of their files."""

CONFIGS = {
    "tokenizer": "tokenizer_config.json",
    "image_processor": "preprocessor_config.json",
    "scheduler": "scheduler_config.json",
}
"""Components of the base without weights, and the file that shows they are there."""


@dataclass(frozen=True)
class WanPaths:
    """The folders and files of one model; `gguf` replaces the base's transformer."""

    base: Path
    adapter: Path
    gguf: Path | None = None


def wan_paths(model: str | Path, folder: Path | None = None) -> WanPaths:
    """Return the paths of a name of the catalog ("wan-720p", "gguf-q4") or of a model folder.

    Args:
        model: the name, or the folder's path.
        folder: the models folder in which fetched models lie; the usual one by default.

    Raises `RequestError` for an unknown name, `WeightsError` that says what is missing and which command fetches it.
    """
    if _in_catalog(model):
        return _fetched(hub_model(str(model)), folder or models_dir())
    root = Path(model)
    bare = isinstance(model, str) and not model.startswith(".") and not any(mark in model for mark in "/\\")
    if bare and root.is_dir():
        raise RequestError(
            "{model} is no name of the catalog; if the folder of that name is meant, write ./{model}", model=model
        )
    if bare:
        names = hub_model_names("base", "gguf")
        hint = did_you_mean(model, names)
        raise RequestError(
            "there is no model {model!r}{hint}: give one of {names}, or a model folder",
            model=model,
            hint=hint,
            names=", ".join(names),
        )
    if not root.is_dir():
        raise WeightsError("there is no model folder {model!r}: check the path", model=str(model))
    return _complete(
        WanPaths(
            base=root / "base",
            adapter=root / "adapter",
            gguf=_single(root / "gguf", "*.gguf"),
        ),
        "put it there, or name a model that  fantasyportrait weights fetch  gets",
    )


def wan_lora(model: str | Path, name: str, folder: Path | None = None) -> Path:
    """Return the file of a LoRA: the fetched one for a name of the catalog, the one in `lora/` for a model folder.

    Args:
        model: as for `wan_paths`.
        name: the LoRA's row in the catalog.
        folder: the models folder in which fetched models lie; the usual one by default.

    Raises `WeightsError` that says which command fetches it.
    """
    row = hub_model(name)
    if _in_catalog(model):
        root = (folder or models_dir()) / row.folder
        file = root / row.files[0]
        if not file.is_file():
            raise WeightsError(
                "the LoRA {name} is not in {root}: run  {command}, or choose no LoRA",
                name=name,
                root=root,
                command=fetch_command(name, folder),
            )
        return file
    own = Path(model) / "lora"
    found = _single(own, "*.safetensors")
    if found is None:
        raise WeightsError(
            "there is no LoRA in {own}: put one there that fits the model, such as the file that  "
            "fantasyportrait weights fetch {name}  gets, or choose no LoRA",
            own=own,
            name=name,
        )
    return found


def _in_catalog(model: str | Path) -> bool:
    return str(model) in hub_model_names("base", "gguf")


def _fetched(row: HubModel, folder: Path) -> WanPaths:
    advice = f"run  {fetch_command(row.name, folder)}"
    gguf = None
    if row.kind == "gguf":
        gguf = folder / row.folder / row.files[0]
        if not gguf.is_file():
            raise WeightsError(
                "the model {name} is not in {folder}: {advice}", name=row.name, folder=folder, advice=advice
            )
    base = row if row.kind == "base" else hub_model(row.requires[0])
    if not (folder / base.folder).is_dir():
        raise WeightsError("the model {name} is not in {folder}: {advice}", name=row.name, folder=folder, advice=advice)
    sources = WanPaths(
        base=folder / base.folder,
        adapter=folder / hub_model("adapter").folder,
        gguf=gguf,
    )
    return _complete(sources, advice)


def _complete(sources: WanPaths, advice: str) -> WanPaths:
    """Return `sources` if every file that the engine opens exists."""
    missing = _missing_of_base(sources.base, transformer=sources.gguf is None)
    if missing:
        raise WeightsError(
            "the base model in {base} lacks {missing}: {advice}", base=sources.base, missing=missing[0], advice=advice
        )
    adapter_files(sources.adapter, advice)
    for name in FACE_NETS:
        if not (sources.adapter / name).is_file():
            raise WeightsError("{adapter} lacks {name}: {advice}", adapter=sources.adapter, name=name, advice=advice)
    return sources


def _missing_of_base(base: Path, transformer: bool) -> list[str]:
    needed = ["model_index.json", *(f"{part}/{name}" for part, name in CONFIGS.items())]
    needed += [f"{part}/config.json" for part in WEIGHTS_NAMES]
    missing = [name for name in needed if not (base / name).is_file()]
    for part, name in WEIGHTS_NAMES.items():
        if missing or (part == "transformer" and not transformer):
            continue
        shards = sorted(set(read_weight_map(base / part, name).values()))
        missing += [f"{part}/{shard}" for shard in shards if not (base / part / shard).is_file()]
    return missing


def _single(folder: Path, pattern: str) -> Path | None:
    found = sorted(folder.rglob(pattern))
    if len(found) > 1:
        raise WeightsError(
            "{folder} holds {count} files where one is used: keep one, {name} for example",
            folder=folder,
            count=len(found),
            name=found[0].name,
        )
    return found[0] if found else None
