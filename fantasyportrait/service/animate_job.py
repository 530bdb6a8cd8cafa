"""Animation requests as jobs of workers: what is sent, what a worker's machine runs, and what comes back."""

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

from fantasyportrait.core.errors import RequestError
from fantasyportrait.core.limits import PRIVATE
from fantasyportrait.media.input_digests import check_input_file
from fantasyportrait.media.request_files import load_request
from fantasyportrait.media.result_files import (
    OutputPaths,
    check_output_paths,
    commit_outputs,
    output_paths,
    staging_folder,
)
from fantasyportrait.runtime.runtime_config import RuntimeConfig
from fantasyportrait.sandbox.decoder import SandboxDecoder
from fantasyportrait.schema.events import Done, Event
from fantasyportrait.schema.portrait import IN_MEMORY
from fantasyportrait.schema.request import AnimationRequest, from_json
from fantasyportrait.service.animator import Animator
from fantasyportrait.weights.store import models_dir
from fantasyportrait.workers.job import Job, JobCall, WorkerSetup

FUNCTION, SETUP = f"{__name__}:run", f"{__name__}:setup"


def animate_job(request: AnimationRequest, output: Path) -> Job:
    """The job of a request. Raises `RequestError` for an output that cannot be written and a portrait in memory."""
    if not isinstance(request.portrait, Path):
        raise RequestError("portrait is {in_memory}, which workers cannot read: save it as a file", in_memory=IN_MEMORY)
    paths = output_paths(output)
    made = output_paths(Path(f"result{output.suffix.lower()}"))
    outputs = {
        made.video.name: paths.video,
        made.side_by_side.name: paths.side_by_side,
        made.request.name: paths.request,
    }
    inputs = tuple(dict(request.inputs))
    # The folder of a model is on the worker's machine.
    sent = request.with_paths(lambda path: path if path in inputs else path.resolve())
    return Job(FUNCTION, sent.to_json(), inputs, outputs, partial(_receive, request, paths))


@contextmanager
def setup(runtime_config: RuntimeConfig, models: str | None, cache: str | None) -> Iterator[WorkerSetup]:
    """The animator of a worker. It decodes in child processes, with the limits of a user's own machine."""
    # Resolved, as a short name such as "weights" occurs in many messages.
    models_folder, cache_folder = (None if name is None else Path(name).resolve() for name in (models, cache))
    with closing(SandboxDecoder(PRIVATE)) as decoder:
        animator = Animator(models_folder, cache_folder, runtime_config, decoder=decoder)
        yield WorkerSetup(animator, {str(animator.inputs.models_dir or models_dir()): "models"})


def run(animator: Animator, call: JobCall) -> Generator[Event, None, None]:
    """Run the request of `animate_job`; the request that is saved names the files as `call.arguments` does."""
    request = from_json(call.arguments)
    if not {path.as_posix() for path in request.files} <= call.inputs.keys():
        raise ValueError("the request names a file that was not received")
    here = request.with_paths(lambda path: call.inputs.get(path.as_posix(), path))
    with closing(animator.events(here, call.output, call.cancel)) as event_stream:
        for event in event_stream:
            if isinstance(event, Done) and here != request:
                _restore_paths(event.result.request, call)
            yield event


def _restore_paths(saved: Path, call: JobCall) -> None:
    """Write the paths of `call.arguments` into a saved request."""
    originals = {path.resolve(): Path(original) for original, path in call.inputs.items()}
    request = load_request(saved).with_paths(lambda path: originals.get(path.resolve(), path))
    saved.write_text(request.to_json(), encoding="utf-8")


@contextmanager
def _receive(request: AnimationRequest, paths: OutputPaths) -> Iterator[Path]:
    """See `Job.receive`."""
    check_output_paths(paths, request.files)
    for path, what in request.inputs:
        check_input_file(path, what)
    with staging_folder(paths) as folder:
        yield folder
        saved = folder / paths.request.name
        made = from_json(saved.read_text(encoding="utf-8"))
        saved.write_text(made.json_for(paths.video.parent), encoding="utf-8")
        commit_outputs(folder, paths)
