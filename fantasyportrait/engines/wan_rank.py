"""The work of every rank but rank 0 under torchrun: its share of each step of the diffusion engine."""

from dataclasses import replace
from typing import TYPE_CHECKING

from fantasyportrait.core.errors import RequestError
from fantasyportrait.runtime.runtime_config import RuntimeConfig

if TYPE_CHECKING:
    from fantasyportrait.pipelines.portrait_pipeline import FantasyPortraitPipeline
    from fantasyportrait.pipelines.rank_loop import LoadCommand
    from fantasyportrait.runtime.process_group import ProcessGroup


def run_wan_rank(process_group: "ProcessGroup", runtime_config: RuntimeConfig) -> None:
    """Load and sample on the commands of rank 0, until it closes the process group.

    An error ends this process, and so the process group; `RequestError` where the memory of its device runs out.
    """
    from fantasyportrait.runtime.library_logging import quiet_libraries

    with quiet_libraries():
        from fantasyportrait.pipelines.loading import load_pipeline, transformer_folder
        from fantasyportrait.pipelines.rank_loop import run_rank
        from fantasyportrait.pipelines.video_sampling import sample_latents
        from fantasyportrait.runtime.memory import is_out_of_memory
        from fantasyportrait.runtime.torch_config import torch_settings

    def load(command: "LoadCommand", shared: "ProcessGroup") -> "FantasyPortraitPipeline":
        own = replace(command.runtime_config, device=str(process_group.device))
        with quiet_libraries():
            if shared.local_rank == 0:
                # On another machine than rank 0, which has written the cast weights on its own disk.
                transformer_folder(command.files, own, command.profile)
            shared.barrier()
            return load_pipeline(command.files, own, command.profile, command.cache, shared)

    try:
        with torch_settings(process_group.device, runtime_config.compile):
            run_rank(process_group, load, sample_latents)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise RequestError(
            "the memory of {device} ran out: start all processes again with a profile that needs less, "
            "or with a smaller video (max_side)",
            device=process_group.device,
        ) from error
