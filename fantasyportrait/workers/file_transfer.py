"""What crosses to a worker and back: a request whose files have names of their own, and the files of its result."""

import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import MediaError, RequestError
from fantasyportrait.media.result_files import (
    SIDE_BY_SIDE,
    OutputPaths,
    check_output_paths,
    commit_outputs,
    output_paths,
    staging_folder,
)
from fantasyportrait.schema.portrait import IN_MEMORY
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.service.digests import add_input_digests, check_input_file, clip_sha256
from fantasyportrait.workers.worker_actor import CHUNK_BYTES, MODELS, RESULT

_SUFFIX = re.compile(r"\.[a-z0-9]{1,8}")
_FRAME = re.compile(r"frame_[0-9]+\.png")


@dataclass(frozen=True)
class JobPayload:
    """A request ready to be sent.

    Attributes:
        request: its JSON, with `files`' names in the place of their paths.
        files: the inputs that it names, by random names: a clip that drives two faces is there once.
        saved: the request with the inputs' own paths and their digests, to be saved beside the result.
        paths: where the result goes.
    """

    request: str
    files: Mapping[str, Path]
    saved: AnimationRequest
    paths: OutputPaths


def pack(request: AnimationRequest, output: Path) -> JobPayload:
    """Check the inputs and the output's place, as a run here does, and name the files.

    Raises `MediaError` for a file that is not there, `RequestError` or `OutputError` for an output that cannot be.
    """
    paths = output_paths(output)
    if not isinstance(request.portrait, Path):
        raise RequestError(f"portrait is {IN_MEMORY}, which is not sent to other machines: save it as a file")
    inputs = dict(request.inputs)
    check_output_paths(paths, list(inputs))
    for path, what in inputs.items():
        check_input_file(path, what)
    names = {path: _name(path) for path in inputs}
    saved, _ = add_input_digests(request, clip_sha256(request.portrait))
    named = request.with_paths(lambda path: Path(names[path]) if path in names else path.resolve())
    return JobPayload(named.to_json(), {name: path for path, name in names.items()}, saved, paths)


def chunks(path: Path) -> Iterator[bytes]:
    """The file's bytes in pieces, one empty piece for an empty file. Raises `MediaError`."""
    try:
        with path.open("rb") as file:
            yield file.read(CHUNK_BYTES)
            while data := file.read(CHUNK_BYTES):
                yield data
    except OSError as error:
        raise MediaError(f"{path} cannot be read ({error.strerror or error}): check the path") from error


def fetch(
    payload: JobPayload, names: Sequence[str], read: Callable[[str, int], bytes], cancel: CancelToken
) -> Path | None:
    """Get the files of a result with `read(name, offset)`, and put all in place at once, beside the saved request.

    Returns the side-by-side video's path if there is one. Raises `OutputError`, `Cancelled`, and what `read` raises;
    then nothing was written.
    """
    paths = payload.paths
    with staging_folder(paths) as folder:
        for name in names:
            target = folder / _result_path(name, paths)
            target.parent.mkdir(exist_ok=True)
            with target.open("wb") as file:
                for data in _read_remote(name, read):
                    cancel.check()
                    file.write(data)
        saved = folder / paths.request.name
        saved.write_text(payload.saved.json_for(paths.video.parent), encoding="utf-8")
        commit_outputs(folder, paths)
        return paths.side_by_side if paths.side_by_side.exists() else None


def localize_paths(text: str, remote_names: Mapping[str, str], payload: JobPayload) -> str:
    """A worker's message in the words of this machine. `remote_names` says how the worker calls the files (see
    `start`)."""
    pairs = [(remote_names[name], str(path)) for name, path in payload.files.items()]
    pairs += [(name, path.name) for name, path in payload.files.items()]
    pairs += [(remote_names[RESULT], str(payload.paths.video)), (remote_names[MODELS], MODELS)]
    for there, here in pairs:
        text = text.replace(there, here)
    return text


def _name(path: Path) -> str:
    suffix = path.suffix.lower()
    return uuid.uuid4().hex + (suffix if _SUFFIX.fullmatch(suffix) else "")


def _result_path(name: str, paths: OutputPaths) -> Path:
    """Where a result goes, relative to the folder of all. No name is used that we did not choose."""
    video = paths.video
    if name == f"{RESULT}{video.suffix.lower()}":
        return Path(video.name)
    if name == f"{RESULT}{video.suffix.lower()}{SIDE_BY_SIDE}":
        return Path(paths.side_by_side.name)
    folder, _, frame = name.partition("/")
    if not video.suffix and folder == RESULT and _FRAME.fullmatch(frame):
        return Path(video.name, frame)
    raise ValueError(f"the worker offers a file {name!r} that was not asked for")


def _read_remote(name: str, read: Callable[[str, int], bytes]) -> Iterator[bytes]:
    offset = 0
    while data := read(name, offset):
        yield data
        offset += len(data)
        if len(data) < CHUNK_BYTES:
            return
