"""The processes that torchrun started for one job: who does what, and how the first one leads.

Two channels. On the first, *control*, rank 0 says in one number what comes next, between passes: go on, stop, here is
something, or the end. The second carries tensors within a step. A process that fails in the midst of a pass does not
mend anything: it ends, and torchrun ends the others.
"""

import math
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from types import TracebackType
from typing import Any, Literal

import torch
import torch.distributed as distributed
from diffusers import ContextParallelConfig, ModelMixin

from fantasyportrait.core.errors import Cancelled, RequestError
from fantasyportrait.models.diffusers_compat import context_parallel_config, context_parallel_plan

ParallelMode = Literal["cfg", "context"]

_CONTINUE, _STOP, _OBJECT, _SHUTDOWN = range(4)
# A follower waits for its next job while rank 0 tracks clips, decodes and writes.
_IDLE_TIMEOUT = timedelta(days=7)
# Nobody is behind by more than a pass, or at the beginning by the loading of the model.
STEP_TIMEOUT = timedelta(minutes=30)


@dataclass(frozen=True, eq=False)
class ProcessGroup:
    """The processes of one job, as one of them sees it. Use it as a context: it ends for all when rank 0 leaves.

    Attributes:
        rank: this process, 0 leads.
        size: how many there are; 1 works alone, and every method does nothing much.
        device: this process's own.
        mode: what is shared: the passes of a step, or the tokens of a pass.
        control_group: the process group on which rank 0 speaks; None alone.
        timeout: how long rank 0 waits until the others listen; they wait for it as long as it takes.
        local_rank: this process among those of its machine, which share the machine's memory and disk.
        local_size: how many those are.
    """

    rank: int
    size: int
    device: torch.device
    mode: ParallelMode = "cfg"
    control_group: distributed.ProcessGroup | None = None
    timeout: timedelta = STEP_TIMEOUT
    local_rank: int = 0
    local_size: int = 1

    def __enter__(self) -> "ProcessGroup":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # After another error the others may be anywhere in a pass, waiting for us: torchrun ends them.
        if kind is None:
            self.close()
        elif issubclass(kind, Cancelled):
            # What stopped us may have been a signal to all, and the others gone before they could be told.
            with suppress(RuntimeError):
                self.close()

    @property
    def is_main_process(self) -> bool:
        """Whether this process is the one that knows the user."""
        return self.rank == 0

    def with_mode(self, mode: ParallelMode) -> "ProcessGroup":
        """The same processes sharing something else."""
        return replace(self, mode=mode)

    def assign_passes(self, groups: Sequence[int]) -> list[tuple[int, ...]]:
        """Which passes this process makes of a step, run by run; () where it waits for the others.

        `groups` has the number of passes of each run: (1, 1) for two, (2,) for two as a batch. Every process gets as
        many runs.
        """
        numbers = range(sum(groups))
        if self.mode == "context" or self.size == 1:
            starts = [sum(groups[:place]) for place in range(len(groups))]
            return [tuple(numbers[start : start + count]) for start, count in zip(starts, groups, strict=True)]
        mine = tuple(numbers[self.rank :: self.size])
        if max(groups) > 1:
            return [mine]
        rounds = math.ceil(len(numbers) / self.size)
        return [mine[turn : turn + 1] for turn in range(rounds)]

    def all_reduce(self, parts: torch.Tensor) -> torch.Tensor:
        """Passes' results (passes, ...), of which each process has its own and zeros elsewhere, complete for all."""
        if self.mode == "cfg" and self.size > 1:
            # A number and zeros: the sum has no rounding, so that the result does not depend on who did what.
            distributed.all_reduce(parts)
        return parts

    def sync_stop(self, stop: bool) -> bool:
        """Whether all stop here, as rank 0 says; the others' own word does not count. Everybody calls it as often."""
        if self.size == 1:
            return stop
        code = self._broadcast_code(_STOP if stop else _CONTINUE)
        if code not in (_CONTINUE, _STOP):
            raise RuntimeError(f"rank {self.rank} is within a step, and rank 0 has left it")
        return code == _STOP

    def broadcast_stop(self) -> None:
        """Rank 0: whoever is still at work on the last job stops at the next pass. Not from the midst of a pass."""
        if self.size > 1:
            self._broadcast_code(_STOP)

    def broadcast_object(self, message: object) -> None:
        """Rank 0: give all the others a plain object, such as a job.

        It travels pickled, which is as safe as the processes are ours: one user's, started by one torchrun.
        """
        if self.size > 1:
            self._broadcast_code(_OBJECT)
            distributed.broadcast_object_list([message], src=0, group=self.control_group)

    def receive_object(self) -> Any:
        """The others: what rank 0 sends next, None when it has left."""
        while (code := self._broadcast_code(_CONTINUE)) == _STOP:
            # Of a job that was over before rank 0 gave it up.
            continue
        if code == _SHUTDOWN:
            return None
        if code != _OBJECT:
            raise RuntimeError(f"rank {self.rank} waits for a job, and rank 0 is within a step")
        box: list[Any] = [None]
        distributed.broadcast_object_list(box, src=0, group=self.control_group)
        return box[0]

    def barrier(self) -> None:
        """Wait until all processes are here, as long as it takes."""
        if self.size > 1:
            distributed.barrier(self.control_group)

    @contextmanager
    def shared_job(self, message: object) -> Iterator[None]:
        """Rank 0: the others work on the message too while this is entered. A user's stop reaches them.

        Any other error that comes out of it must end the process: the others may be in the midst of a pass.
        """
        self.broadcast_object(message)
        try:
            yield
        except Cancelled:
            self.broadcast_stop()
            raise

    def close(self) -> None:
        """Part; rank 0's leaving ends the others' wait."""
        if self.size == 1:
            return
        if self.is_main_process:
            self._broadcast_code(_STOP)
            self._broadcast_code(_SHUTDOWN)
        distributed.destroy_process_group()

    def _broadcast_code(self, code: int) -> int:
        """Rank 0's number, whatever the others give."""
        number = torch.tensor([code])
        said = distributed.broadcast(number, src=0, group=self.control_group, async_op=True)
        # Who speaks waits until it is heard, and who hangs will never hear.
        said.wait(self.timeout if self.is_main_process else _IDLE_TIMEOUT)
        return int(number)


def init_process_group(parallel: str, device: torch.device, timeout: timedelta = STEP_TIMEOUT) -> ProcessGroup:
    """This process's place in the process group that torchrun started; a process group of one where it started one.

    Args:
        parallel: a name of `RuntimeConfig.parallel`.
        device: which kind; each process takes the GPU of its own number (LOCAL_RANK).
        timeout: how long one process waits for another while both are at work.

    Raises:
        RequestError: torchrun without the flag, the flag without torchrun, or fewer GPUs than processes.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if parallel == "none":
        if size > 1 and distributed.is_available() and distributed.is_torchelastic_launched():
            raise RequestError(
                f"torchrun started {size} processes and nobody said how they share the job: add --parallel auto"
            )
        return ProcessGroup(0, 1, device)
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        raise RequestError(
            f"--parallel {parallel} shares the job between processes, and there is one: start it with  torchrun "
            "--nproc-per-node 2 -m fantasyportrait ..., or leave the flag out"
        )
    if size == 1:
        return ProcessGroup(0, 1, device)
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    local_size = int(os.environ.get("LOCAL_WORLD_SIZE", str(size)))
    own = _local_device(device, local_rank)
    distributed.init_process_group(_backends(own), timeout=timeout)
    control = distributed.new_group(backend="gloo", timeout=_IDLE_TIMEOUT)
    rank = distributed.get_rank()
    return ProcessGroup(
        rank, size, own, control_group=control, timeout=timeout, local_rank=local_rank, local_size=local_size
    )


def resolve_mode(parallel: str, size: int, passes: int) -> ParallelMode:
    """What `size` processes share of a request whose steps have up to `passes` passes; `RequestError` for idle ones."""
    if parallel == "auto":
        # Whole passes need no exchange within a pass.
        return "cfg" if size <= 2 and passes == 2 else "context"
    if parallel == "cfg" and size > passes:
        raise RequestError(
            f"{size} processes cannot share the passes of a step, of which this request has {passes}: start {passes}, "
            "or choose --parallel context"
        )
    return "cfg" if parallel == "cfg" else "context"


def check_context_parallel(heads: int, process_group: ProcessGroup) -> None:
    """Raise `RequestError` where a transformer of so many heads cannot be dealt out, or there is no GPU."""
    if heads % process_group.size:
        fitting = ", ".join(str(count) for count in range(2, heads + 1) if heads % count == 0)
        raise RequestError(
            f"{process_group.size} processes cannot share {heads} attention heads evenly: start one of {fitting} "
            "processes"
        )
    if process_group.device.type == "cpu" and not torch.accelerator.device_count():
        raise RequestError("processes share tokens on GPUs only, and the device is the CPU: choose --parallel cfg")


def enable_context_parallel(transformer: ModelMixin, process_group: ProcessGroup) -> None:
    """Let the process group share the tokens of a pass (ulysses: heads are exchanged for tokens around self-attention).

    Once for a transformer, before or after it is placed, and after `check_context_parallel`.
    """
    # Diffusers' own call, which is none of the user's business.
    warnings.filterwarnings("ignore", message=".*all_gather_tensor` is deprecated", category=FutureWarning)
    # All of the model's plan but its entry for a timestep of each token, which Wan2.1 has not and diffusers remarks on.
    plan = {name: part for name, part in context_parallel_plan(transformer).items() if name}
    transformer.enable_parallelism(config=ContextParallelConfig(ulysses_degree=process_group.size), cp_plan=plan)


def configure_ulysses(transformer: ModelMixin, tokens: int) -> None:
    """Before a pass over `tokens` tokens: choose the exchange for equal parts, or the one for any number (slower)."""
    config = context_parallel_config(transformer)
    config.ulysses_anything = tokens % config.ulysses_degree != 0


def _local_device(device: torch.device, number: int) -> torch.device:
    """The card of that number, made the process's current one; the CPU is everybody's."""
    if device.type == "cpu":
        return device
    if device.index is not None:
        raise RequestError(f"device is {device}, but each process takes a GPU of its own: leave the number out")
    count = torch.accelerator.device_count()
    if number >= count:
        raise RequestError(f"there is no GPU for process {number} of this machine, which has {count}: start {count}")
    torch.accelerator.set_device_index(number)
    return torch.device(device.type, number)


def _backends(device: torch.device) -> str:
    """What carries tensors: gloo those on the CPU, and the device's own library those on it."""
    if device.type == "cpu":
        return "gloo"
    return f"cpu:gloo,{device.type}:{distributed.get_default_backend_for_device(device)}"
