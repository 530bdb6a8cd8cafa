"""`fantasyportrait workers`: a pool of workers for the app, on this machine or a Ray cluster."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fantasyportrait.cli.option_flags import Given
from fantasyportrait.cli.sampling_flags import runtime_config
from fantasyportrait.core.errors import FantasyPortraitError

if TYPE_CHECKING:
    from fantasyportrait.workers.ray_worker_pool import WorkerPool

MONITOR_INTERVAL_S = 2.0
EPILOG = """\b
Without --address a cluster starts on this machine, for an app on this machine.
For several machines, in a private network (anyone who reaches a Ray cluster
can run code on it):
  ray start --head --disable-usage-stats       on the first machine
  ray start --address FIRST:6379               on each other one
  fantasyportrait workers --address auto       on any of them
  fantasyportrait app --model wan-720p --ray auto                on any of them
  fantasyportrait app --model wan-720p --ray ray://FIRST:10001   from outside
All need the same versions of Python, Ray and this package, the model files, and
the first machine's ~/.ray/auth_token with RAY_AUTH_MODE=token where it has one.
"""


def workers(
    given: Given,
    address: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Ray cluster: HOST:PORT, ray://HOST:PORT or auto. [default: a new one]"),
    ] = None,
    num_workers: Annotated[
        int | None, typer.Option(min=1, help="Number of workers. [default: one a GPU, or 1 on a CPU]")
    ] = None,
    gpus_per_worker: Annotated[int, typer.Option(min=0, max=1, help="GPUs of each worker; 0 for CPU workers.")] = 1,
    models_dir: Annotated[Path | None, typer.Option(help="Folder of the model files on the workers' machines.")] = None,
) -> None:
    """Keep workers ready on a Ray cluster, one for each GPU, until Ctrl-C; the app sends them its jobs (--ray)."""
    machine = runtime_config(given)
    from fantasyportrait.service.animate_job import SETUP
    from fantasyportrait.workers.ray_cluster import join, leave
    from fantasyportrait.workers.ray_worker_pool import WorkerConfig, WorkerPool

    config = WorkerConfig(SETUP, machine, gpus_per_worker, None if models_dir is None else str(models_dir))
    joined = join(address, num_workers or 1)
    pool = WorkerPool(config)
    try:
        names = pool.start(num_workers)
        _echo(f"ready: {', '.join(names)}")
        _echo(f"use with:  fantasyportrait app --model wan-720p --ray {joined}")
        _echo("Ctrl-C ends them")
        _monitor(pool, joined)
    except KeyboardInterrupt:
        _echo("ending the workers")
    finally:
        pool.stop()
        leave()


def _monitor(pool: "WorkerPool", address: str) -> None:
    """Replace dead workers until Ctrl-C."""
    from fantasyportrait.workers.ray_cluster import rejoin

    last_error = ""
    while True:
        time.sleep(MONITOR_INTERVAL_S)
        try:
            rejoin(address)
            gone, new = pool.replace_dead()
        except FantasyPortraitError as error:
            if str(error) != last_error:
                typer.echo(f"note: {error}", err=True)
            last_error = str(error)
            continue
        last_error = ""
        if new:
            typer.echo(f"note: {', '.join(gone) or 'the others'} ended; replaced by {', '.join(new)}", err=True)


def _echo(text: str) -> None:
    """Print a line and flush, so that it appears at once in a pipe too."""
    typer.echo(text)
    sys.stdout.flush()
