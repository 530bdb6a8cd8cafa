"""A job: a named function with its input files and its output files, and what the function gets on a worker."""

from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.runtime.runtime_config import RuntimeConfig
from fantasyportrait.schema.events import Event


@dataclass(frozen=True)
class Job:
    """The work of a worker.

    Attributes:
        function: "package.module:name" of a `JobFunction`, imported where the job runs.
        arguments: text for the function, such as JSON. It names files by their paths on this machine.
        inputs: the files that `arguments` names.
        outputs: where each output goes, a file or a folder of files, by its name on another machine. The first is the
            main one, and the function puts the others in the same folder.
        receive: for outputs that a worker on another machine made: checks that they can be written, and gives a folder
            in which each gets the name of its path in `outputs`. All are moved in place when the context is left
            without an error, and none when it is left with one.
    """

    function: str
    arguments: str
    inputs: tuple[Path, ...]
    outputs: Mapping[str, Path]
    receive: Callable[[], AbstractContextManager[Path]]


@dataclass(frozen=True)
class JobCall:
    """A job as its function gets it.

    Attributes:
        arguments: those of the job.
        inputs: the paths of the input files on the worker's machine, by their paths in `arguments`.
        output: the path of the main output on the worker's machine.
        cancel: asks the function to stop.
    """

    arguments: str
    inputs: Mapping[str, Path]
    output: Path
    cancel: CancelToken


JobFunction = Callable[[Any, JobCall], Generator[Event, None, None]]
"""Gets the worker's state and a call, and yields events; the last is Done, Failed or Cancelled, or it raises a
`FantasyPortraitError`. Closing the generator stops the work."""


@dataclass(frozen=True)
class WorkerSetup:
    """The state of a worker from its start to its end.

    Attributes:
        state: the first argument of every job function, such as loaded models.
        path_names: the replacements of paths of this machine in events for other machines.
    """

    state: object
    path_names: Mapping[str, str] = field(default_factory=dict)


SetupFunction = Callable[[RuntimeConfig, str | None, str | None], AbstractContextManager[WorkerSetup]]
"""Gets the runtime config and the folders of models and cache, None for the default ones."""


def call_function(name: str, state: object, call: JobCall) -> Generator[Event, None, None]:
    """The events of the `JobFunction` that "package.module:name" names."""
    function: JobFunction = resolve_name(name)
    return function(state, call)
