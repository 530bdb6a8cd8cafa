"""How one app is served: what whoever starts it decides, and no visitor."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fantasyportrait.core.errors import RequestError
from fantasyportrait.service.animator import Animator, Placement
from fantasyportrait.service.sampling import Sampling


@dataclass(frozen=True)
class Settings:
    """The flags of the app.

    Attributes:
        host, port: to listen on; gradio's own where not given.
        results: folder where results are kept a while.
        models_dir: where the model files lie or shall be put.
        model: of the diffusion engine, a name or a folder (with a / in it); None offers the preview engine alone.
        device, offload, precision: see `Placement`.
    """

    host: str | None = None
    port: int | None = None
    results: Path = Path("results")
    models_dir: Path | None = None
    model: str | None = None
    device: str = "auto"
    offload: str = "auto"
    precision: str = "auto"

    def animator(self) -> Animator:
        """The animator of this machine; raises `RequestError` for words that name no offload or precision."""
        machine: dict[str, Any] = {"device": self.device, "offload": self.offload, "precision": self.precision}
        return Animator(self.models_dir, placement=Placement(**machine))

    def found_model(self) -> str | None:
        """The model, a folder made absolute; raises `RequestError` where there is no such folder."""
        folder = None if self.model is None else Sampling(model=self.model).model_folder
        if folder is None:
            return self.model
        found = folder.expanduser().resolve()
        if not found.is_dir():
            raise RequestError(f"there is no model folder {folder}: check the path, or give a name of the catalog")
        return found.as_posix()
