"""The processes that torchrun started for one job: what each rank computes, and how rank 0 controls the others.

There are two channels. On the control channel, rank 0 broadcasts one code between passes: continue, stop, an object
follows, or shut down. The other channel carries tensors within a step. A process that fails within a pass ends, and
torchrun then ends the others.
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
# The other ranks wait for their next job while rank 0 tracks clips, decodes and writes.
_IDLE_TIMEOUT = timedelta(days=7)
# Ranks differ by one pass at most, or by the loading of the model.
STEP_TIMEOUT = timedelta(minutes=30)


@dataclass(frozen=True, eq=False)
class ProcessGroup:
    """The processes of one job, seen from one of them. Use it as a context: when rank 0 leaves it, all ranks end.

    Attributes:
        rank: rank of this process; 0 is the main process.
        size: number of processes; with 1, the collective methods do nothing.
        device: device of this process.
        mode: what the processes share: the passes of a step (cfg), or the tokens of a pass (context).
        control_group: torch's process group of the control channel; None for one process.
        timeout: how long rank 0 waits for the others; they wait for rank 0 without a limit.
        local_rank: rank of this process on its machine, whose processes share memory and disk.
        local_size: number of processes on this machine.
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
        # After another error the other ranks may wait within a pass: torchrun ends them.
        if kind is None:
            self.close()
        elif issubclass(kind, Cancelled):
            # The signal that stopped this process may have ended the others already.
            with suppress(RuntimeError):
                self.close()

    @property
    def is_main_process(self) -> bool:
        """Whether this is rank 0, which has the user's request."""
        return self.rank == 0

    def with_mode(self, mode: ParallelMode) -> "ProcessGroup":
        """The same processes with another mode."""
        return replace(self, mode=mode)

    def assign_passes(self, groups: Sequence[int]) -> list[tuple[int, ...]]:
        """The passes of a step that this process computes, one tuple for each run of the transformer.

        `groups` has the number of passes of each run: (1, 1) for two runs, (2,) for two passes as a batch. All
        processes get the same number of runs; an empty tuple is a run without a pass.
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
        """The results of all passes (passes, ...), from a tensor with this process's results and zeros elsewhere."""
        if self.mode == "cfg" and self.size > 1:
            # One value and zeros: the sum is exact, so the result does not depend on the assignment of passes.
            distributed.all_reduce(parts)
        return parts

    def sync_stop(self, stop: bool) -> bool:
        """Rank 0's `stop` on all ranks, whose own is ignored. All ranks must call it equally often."""
        if self.size == 1:
            return stop
        code = self._broadcast_code(_STOP if stop else _CONTINUE)
        if code not in (_CONTINUE, _STOP):
            raise RuntimeError(f"rank {self.rank} is within a step, but rank 0 is not")
        return code == _STOP

    def broadcast_stop(self) -> None:
        """Rank 0: stop the others at their next pass. Not to be called within a pass."""
        if self.size > 1:
            self._broadcast_code(_STOP)

    def broadcast_object(self, message: object) -> None:
        """Rank 0: send all others an object, such as a job.

        It is pickled, which is safe between processes that one user started with one torchrun.
        """
        if self.size > 1:
            self._broadcast_code(_OBJECT)
            distributed.broadcast_object_list([message], src=0, group=self.control_group)

    def receive_object(self) -> Any:
        """The other ranks: the next object of rank 0; None when it shuts down."""
        while (code := self._broadcast_code(_CONTINUE)) == _STOP:
            # A stop for a job that this rank had finished.
            continue
        if code == _SHUTDOWN:
            return None
        if code != _OBJECT:
            raise RuntimeError(f"rank {self.rank} waits for a job, but rank 0 is within a step")
        box: list[Any] = [None]
        distributed.broadcast_object_list(box, src=0, group=self.control_group)
        return box[0]

    def barrier(self) -> None:
        """Wait until all processes have called it, without a limit."""
        if self.size > 1:
            distributed.barrier(self.control_group)

    @contextmanager
    def shared_job(self, message: object) -> Iterator[None]:
        """Rank 0: inside, the others work on the job too, and `Cancelled` stops them.

        Any other error must end this process, since the others may wait within a pass.
        """
        self.broadcast_object(message)
        try:
            yield
        except Cancelled:
            self.broadcast_stop()
            raise

    def close(self) -> None:
        """Leave the group; on rank 0, shut the others down."""
        if self.size == 1:
            return
        if self.is_main_process:
            self._broadcast_code(_STOP)
            self._broadcast_code(_SHUTDOWN)
        distributed.destroy_process_group()

    def _broadcast_code(self, code: int) -> int:
        """Rank 0's code on all ranks."""
        number = torch.tensor([code])
        work = distributed.broadcast(number, src=0, group=self.control_group, async_op=True)
        # Rank 0 does not wait forever for a rank that hangs.
        work.wait(self.timeout if self.is_main_process else _IDLE_TIMEOUT)
        return int(number)


def init_process_group(parallel: str, device: torch.device, timeout: timedelta = STEP_TIMEOUT) -> ProcessGroup:
    """The process group of the processes that torchrun started; a group of one without torchrun.

    Args:
        parallel: a name of `RuntimeConfig.parallel`.
        device: the kind of device; each process takes the GPU with its LOCAL_RANK.
        timeout: how long a process waits for another within a job.

    Raises:
        RequestError: torchrun without the flag, the flag without torchrun, or fewer GPUs than processes.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if parallel == "none":
        if size > 1 and distributed.is_available() and distributed.is_torchelastic_launched():
            raise RequestError(
                "torchrun started {size} processes and --parallel is none: add --parallel auto", size=size
            )
        return ProcessGroup(0, 1, device)
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        raise RequestError(
            "--parallel {parallel} shares the job between processes, and there is one: start it with  torchrun "
            "--nproc-per-node 2 -m fantasyportrait ..., or leave the flag out",
            parallel=parallel,
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
    """What `size` processes share if a step has up to `passes` passes; `RequestError` if some would be idle."""
    if parallel == "auto":
        # Sharing whole passes needs no communication within a pass.
        return "cfg" if size <= 2 and passes == 2 else "context"
    if parallel == "cfg" and size > passes:
        raise RequestError(
            "{size} processes cannot share the passes of a step, of which this request has {passes}: start {passes}, "
            "or choose --parallel context",
            size=size,
            passes=passes,
        )
    return "cfg" if parallel == "cfg" else "context"


def check_context_parallel(heads: int, process_group: ProcessGroup) -> None:
    """Raise `RequestError` if the processes cannot share so many attention heads evenly, or have no GPU."""
    if heads % process_group.size:
        fitting = ", ".join(str(count) for count in range(2, heads + 1) if heads % count == 0)
        raise RequestError(
            "{size} processes cannot share {heads} attention heads evenly: start one of {fitting} processes",
            size=process_group.size,
            heads=heads,
            fitting=fitting,
        )
    if process_group.device.type == "cpu" and not torch.accelerator.device_count():
        raise RequestError("processes share tokens on GPUs only, and the device is the CPU: choose --parallel cfg")


def enable_context_parallel(transformer: ModelMixin, process_group: ProcessGroup) -> None:
    """Enable context parallelism by Ulysses: ranks exchange tokens for heads around self-attention.

    Once for a transformer, before or after it is placed, and after `check_context_parallel`.
    """
    # The deprecated call is in diffusers.
    warnings.filterwarnings("ignore", message=".*all_gather_tensor` is deprecated", category=FutureWarning)
    # Without the plan's entry for a timestep of each token, which Wan2.1 does not have and diffusers would warn about.
    plan = {name: part for name, part in context_parallel_plan(transformer).items() if name}
    transformer.enable_parallelism(config=ContextParallelConfig(ulysses_degree=process_group.size), cp_plan=plan)


def configure_ulysses(transformer: ModelMixin, tokens: int) -> None:
    """Before a pass over `tokens` tokens: select the exchange for equal parts, or the slower one for any number."""
    config = context_parallel_config(transformer)
    config.ulysses_anything = tokens % config.ulysses_degree != 0


def _local_device(device: torch.device, number: int) -> torch.device:
    """The GPU of that number, set as the process's current one; all processes share the CPU."""
    if device.type == "cpu":
        return device
    if device.index is not None:
        raise RequestError(
            "device is {device}, but each process takes a GPU of its own: leave the number out", device=device
        )
    count = torch.accelerator.device_count()
    if number >= count:
        raise RequestError(
            "there is no GPU for process {number} of this machine, which has {count}: start {count}",
            number=number,
            count=count,
        )
    torch.accelerator.set_device_index(number)
    return torch.device(device.type, number)


def _backends(device: torch.device) -> str:
    """The communication backends: gloo for tensors on the CPU, the device's own for those on it."""
    if device.type == "cpu":
        return "gloo"
    return f"cpu:gloo,{device.type}:{distributed.get_default_backend_for_device(device)}"
