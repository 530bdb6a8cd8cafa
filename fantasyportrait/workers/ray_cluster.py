"""A Ray cluster: joining it, and the queue of jobs for its workers.

Who can join a cluster can run code on it: it belongs in a private network, with Ray's tokens on.
"""

import logging
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from fantasyportrait.core.errors import RequestError
from fantasyportrait.core.optional import require
from fantasyportrait.workers.job_queue import JobQueue, WorkerBusy, WorkerLost
from fantasyportrait.workers.remote_worker import RemoteWorker

NAMESPACE = "fantasyportrait"
PREFIX = "worker-"
USAGE_ENV, AUTH_ENV = "RAY_USAGE_STATS_ENABLED", "RAY_AUTH_MODE"
TOKEN_FILE_AT_HOME = Path("~/.ray/auth_token")
# A cluster answers at once or not at all; a worker that loads a model blocks Python for some seconds.
SOCKET_TIMEOUT_S = 5.0
JOIN_TIMEOUT_S = 60.0
CALL_TIMEOUT_S = 60.0
# Short, as a queued job cannot be cancelled during the call.
REJOIN_TIMEOUT_S = 10.0
HEARTBEAT_TIMEOUT_S = 5.0
# Joining a cluster that does not answer blocks inside Ray for minutes, so another process tries it first.
_PROBE_SCRIPT = "import sys, ray; ray.init(address=sys.argv[1], log_to_driver=False)"


def join(address: str | None, cpus: int = 1, timeout_s: float = JOIN_TIMEOUT_S) -> str:
    """Join the cluster at `address` (HOST:PORT, ray://HOST:PORT or auto), or start one on this machine (None).

    A new one has at least `cpus` logical cores. Returns the address at which others join it. Raises `RequestError`
    where no cluster answers within `timeout_s`, and `DependencyError` without Ray. Ray's usage statistics are off, and
    it prints errors only.
    """
    if address is not None:
        _use_token(address)
    ray = ray_package()
    quiet: dict[str, Any] = {"namespace": NAMESPACE, "log_to_driver": False, "logging_level": logging.ERROR}
    if address is None:
        ray.init(address="local", include_dashboard=False, num_cpus=max(cpus, os.cpu_count() or 1), **quiet)
        return str(ray.get_runtime_context().gcs_address)
    if address.startswith("ray://"):
        require("grpc", extra="ray", purpose="an address that begins with ray://")
    _check_answers(address, timeout_s)
    try:
        ray.init(address=address, **quiet)
    except Exception as error:  # of many classes, some of them bare
        raise RequestError(_join_error(address, _reason(str(error)))) from error
    return address


def leave() -> None:
    """Leave the cluster; one that `join` started ends."""
    ray_package().shutdown()


def rejoin(address: str, timeout_s: float = JOIN_TIMEOUT_S) -> None:
    """Join again where the connection has ended, as a ray:// connection does when the first machine is gone.

    Raises `RequestError` as `join` does.
    """
    ray = ray_package()
    if not ray.is_initialized():
        ray.shutdown()  # cleans up the old connection
        join(address, timeout_s=timeout_s)


def ray_queue(address: str) -> JobQueue:
    """Join a cluster and return the queue of jobs for its present workers. Raises `RequestError`."""
    join(address)
    return JobQueue(refresh=_ClusterWorkers(address).present)


class _ClusterWorkers:
    """The workers of the cluster at an address, which a queue lists every second."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._last_error = ""

    def present(self) -> Sequence[RemoteWorker]:
        """The present workers; none where the cluster does not answer, which is logged once."""
        try:
            rejoin(self._address, REJOIN_TIMEOUT_S)
            found = remote_workers()
        except RequestError as error:
            if str(error) != self._last_error:
                logging.getLogger(__name__).error("%s", error)
            self._last_error = str(error)
            return ()
        self._last_error = ""
        return found


def remote_workers() -> Sequence[RemoteWorker]:
    """The present workers of the cluster. Raises `RequestError` where the cluster does not answer."""
    ray = ray_package()
    try:
        names = [name for name in ray.util.list_named_actors() if name.startswith(PREFIX)]
    except Exception as error:  # a ray:// connection that has ended raises a bare Exception
        reason = _reason(str(error)).rstrip(".")
        raise RequestError("the Ray cluster does not answer ({reason}): check that it runs", reason=reason) from error
    found = []
    for name in names:
        try:
            actor = ray.get_actor(name)
        except Exception:  # most often it has ended between the list and now
            logging.getLogger(__name__).debug("%s cannot be reached", name, exc_info=True)
        else:
            found.append(RemoteWorker(name, partial(call, actor), partial(kill, actor)))
    return found


def call(actor: Any, method: str, *arguments: object) -> Any:
    """The answer of an actor's method. Raises the errors of the method, and `WorkerLost` without an answer.

    `WorkerBusy` where `heartbeat` has no answer in time: the worker may still be starting, or be loading a model.
    """
    ray = ray_package()
    heartbeat = method == "heartbeat"
    try:
        return ray.get(
            getattr(actor, method).remote(*arguments), timeout=HEARTBEAT_TIMEOUT_S if heartbeat else CALL_TIMEOUT_S
        )
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error
    except ray.exceptions.GetTimeoutError as error:
        if heartbeat:
            raise WorkerBusy from error
        raise WorkerLost(f"it did not answer for {CALL_TIMEOUT_S:.0f} s") from error
    except Exception as error:  # no answer of the worker; over ray://, Ray raises bare exceptions too
        raise WorkerLost("its process or machine ended, or the connection to it") from error


def kill(actor: Any) -> None:
    """Kill an actor; one that is dead or cannot be reached is ignored."""
    ray = ray_package()
    try:
        ray.kill(actor)
    except Exception:
        logging.getLogger(__name__).debug("a lost worker could not be killed", exc_info=True)


def ray_package() -> ModuleType:
    """Ray, imported with its usage statistics off; `DependencyError` where it is not installed."""
    os.environ[USAGE_ENV] = "0"
    # Ray starts a cluster of its own where it is called without one: a job would wait there for ever.
    os.environ["RAY_ENABLE_AUTO_CONNECT"] = "0"
    # Ray ends a process whose cluster does not answer for a minute: the app has to report that no worker is available.
    os.environ.setdefault("RAY_gcs_rpc_server_reconnect_timeout_s", "1000000")
    return require("ray", extra="ray", purpose="working on several machines")


def _check_answers(address: str, timeout_s: float) -> None:
    """Raise `RequestError` where no cluster answers at the address within `timeout_s`."""
    host, port = _host_and_port(address)
    if address != "auto":
        if not host or not port.isdecimal():
            raise RequestError(
                "the Ray address is {address!r}: give HOST:PORT, ray://HOST:PORT or auto", address=address
            )
        try:
            socket.create_connection((host, int(port)), timeout=SOCKET_TIMEOUT_S).close()
        except (OSError, OverflowError) as error:
            raise RequestError(_join_error(address, str(error))) from error
    command = [sys.executable, "-c", _PROBE_SCRIPT, address]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired as error:
        raise RequestError(_join_error(address, f"no Ray cluster answered within {timeout_s:.0f} s")) from error
    if done.returncode:
        raise RequestError(_join_error(address, _reason(done.stderr)))


def _use_token(address: str) -> None:
    """Turn Ray's token on for an address of this machine: a cluster that Ray starts asks for the token that it keeps in
    the user's home, and Ray sends it to an address only where the mode is set."""
    if (
        AUTH_ENV not in os.environ
        and TOKEN_FILE_AT_HOME.expanduser().is_file()
        and _is_this_machine(_host_and_port(address)[0])
    ):
        os.environ[AUTH_ENV] = "token"


def _host_and_port(address: str) -> tuple[str, str]:
    """Host and port as text; both empty where there are none."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    return host.strip("[]"), port


def _is_this_machine(host: str) -> bool:
    """Whether the host is this machine: a socket can be bound to its own addresses only."""
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.bind(place)
    except OSError:
        return False
    return bool(host)


def _reason(output: str) -> str:
    """Why Ray refused, from its output."""
    if "AuthToken" in output or "AuthenticationError" in output:
        return f"it asks for its token: set {AUTH_ENV}=token, with the token in RAY_AUTH_TOKEN or ~/.ray/auth_token"
    return (output.strip().splitlines() or ["Ray gives no reason"])[-1]


def _join_error(address: str, reason: str) -> str:
    return (
        f"the Ray cluster at {address} cannot be joined ({reason.rstrip('.')}): check the address, and that  "
        "fantasyportrait workers  or  ray start  runs there"
    )
