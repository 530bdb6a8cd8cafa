"""The settings of a running app, which its flags set and no visitor can change."""

import os
from dataclasses import dataclass, field, fields
from pathlib import Path

from fantasyportrait.core.errors import RequestError
from fantasyportrait.core.hosting import on_zero_gpu
from fantasyportrait.core.limits import PRIVATE, PUBLIC, Limits
from fantasyportrait.runtime.runtime_config import RuntimeConfig
from fantasyportrait.runtime.zero_gpu import PRESET
from fantasyportrait.sandbox.decoder_factory import make_decoder
from fantasyportrait.schema.sampling import Sampling
from fantasyportrait.service.animator import Animator
from fantasyportrait.studio.engine_values import preset_values
from fantasyportrait.studio.studio import EXPIRY_S
from fantasyportrait.workers.job_queue import JobQueue, LocalWorker


@dataclass(frozen=True)
class Settings:
    """The flags of the app.

    Attributes:
        host, port: to listen on; gradio's own where not given.
        results: folder where results are kept a while.
        models_dir: folder of the model files; missing small ones are downloaded into it.
        model: of the diffusion engine, a name or a folder (with a / in it); None offers the preview engine alone.
        ray: address of the Ray cluster whose workers run the jobs; None for this process.
        public: whether strict limits apply to uploads; None: only on a Hugging Face Space.
        mcp: whether the endpoints of the API are MCP tools too.
        runtime_config: this machine's settings; with `ray` the workers have their own.
    """

    host: str | None = None
    port: int | None = None
    results: Path = Path("results")
    models_dir: Path | None = None
    model: str | None = None
    ray: str | None = None
    runtime_config: RuntimeConfig = field(default_factory=RuntimeConfig)
    public: bool | None = None
    mcp: bool = False

    def _check_ray(self) -> None:
        """Raise `RequestError` for a runtime config together with `ray`."""
        given = [
            f"--{each.name.replace('_', '-')}"
            for each in fields(RuntimeConfig)
            if getattr(self.runtime_config, each.name) != each.default
        ]
        if self.ray is not None and given:
            raise RequestError(
                "{flags}: with --ray the workers compute: give this to  fantasyportrait workers", flags=", ".join(given)
            )

    @property
    def limits(self) -> Limits:
        """How much of a visitor's file is read."""
        public = "SPACE_ID" in os.environ if self.public is None else self.public
        return PUBLIC if public else PRIVATE

    @property
    def first_options(self) -> dict[str, object]:
        """The options that a session begins with: on ZeroGPU, whose visitors have minutes, those of a draft."""
        return preset_values(PRESET) if on_zero_gpu() else {}

    def animator(self) -> Animator:
        """The animator of this machine, which decodes the files of visitors in child processes."""
        self._check_ray()
        # Absolute: `hide_paths` would also replace a short name such as "weights" inside words of a message.
        models = None if self.models_dir is None else self.models_dir.expanduser().resolve()
        decoder = make_decoder(self.limits, sandbox=True)
        return Animator(models, runtime_config=self.runtime_config, decoder=decoder, cache_expiry_s=EXPIRY_S)

    def queue(self, animator: Animator) -> JobQueue:
        """The queue of jobs for this process, or for the workers of the Ray cluster, which is joined.

        Raises `RequestError` where the cluster cannot be joined.
        """
        if self.ray is None:
            return JobQueue([LocalWorker(animator)])
        from fantasyportrait.workers.ray_cluster import ray_queue

        return ray_queue(self.ray)

    def resolve_model(self) -> str | None:
        """The model, a folder made absolute; raises `RequestError` where there is no such folder.

        The folder of a cluster is on its workers' machines.
        """
        folder = None if self.model is None else Sampling(model=self.model).model_folder
        if folder is None:
            return self.model
        found = folder.expanduser().resolve()
        if self.ray is None and not found.is_dir():
            raise RequestError(
                "there is no model folder {folder}: check the path, or give a name of the catalog", folder=folder
            )
        return found.as_posix()
