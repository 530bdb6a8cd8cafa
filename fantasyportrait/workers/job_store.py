"""Jobs in an SQLite file, so that they outlive the process.

States: a job is `pending` until a worker is free, then `running`, and ends as `done`, `failed` or `cancelled`. A job
that still is `running` when the file is opened was interrupted: its process was closed or killed.
"""

import json
import os
import re
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from fantasyportrait.core.errors import OutputError
from fantasyportrait.core.sentences import decode, encode, with_values

SCHEMA = 2
# How long a file that another process uses is waited for: a server that restarts overlaps with its predecessor.
LOCK_TIMEOUT_S = 5.0

JobState = Literal["pending", "running", "done", "failed", "cancelled"]
QUEUED = "queued"
"""The stage of a running job whose worker is busy with a job of another client."""


@dataclass(frozen=True)
class JobRecord:
    """A job as it is stored.

    Attributes:
        id: 32 random hex digits.
        owner: the owner's id, any text.
        payload: text from which the service makes a `Job`.
        label: short JSON text about the job for the page; its content is not known here.
        created_s: when it was submitted, or retried, in seconds since 1970.
        state: see the module.
        rank: position among the owner's pending jobs; the lowest runs first.
        attempts: how often it was started, without the starts that a clean shutdown interrupted.
        stopping: cancelled by the owner, and the worker has not stopped yet.
        stage: name of the latest `Stage`, or `QUEUED`; "" before the first one.
        done, total: steps of that stage.
        remaining_s: of that stage, in seconds; None while it is unknown.
        messages: sentences of the run for the user, each once.
        error: why it failed or was cancelled, None where there is nothing to say.
        result: JSON text about the result of a job that is done.
        started_s, ended_s: in seconds since 1970, None before.
        place: how many pending jobs run before this pending job; not stored, `JobScheduler` computes it.
    """

    id: str
    owner: str
    payload: str
    label: str
    created_s: float
    state: JobState = "pending"
    rank: int = 0
    attempts: int = 0
    stopping: bool = False
    stage: str = ""
    done: int = 0
    total: int = 0
    remaining_s: float | None = None
    messages: tuple[str, ...] = ()
    error: str | None = None
    result: str | None = None
    started_s: float | None = None
    ended_s: float | None = None
    place: int | None = None

    @property
    def ended(self) -> bool:
        """Whether it is done, failed or cancelled."""
        return self.state not in ("pending", "running")


_COLUMNS = tuple(field.name for field in fields(JobRecord) if field.name != "place")
_TABLE = """
    CREATE TABLE jobs (
        id TEXT PRIMARY KEY,
        owner TEXT NOT NULL,
        payload TEXT NOT NULL,
        label TEXT NOT NULL,
        created_s REAL NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('pending', 'running', 'done', 'failed', 'cancelled')),
        rank INTEGER NOT NULL,
        attempts INTEGER NOT NULL,
        stopping INTEGER NOT NULL,
        stage TEXT NOT NULL,
        done INTEGER NOT NULL,
        total INTEGER NOT NULL,
        remaining_s REAL,
        messages TEXT NOT NULL,
        error TEXT,
        result TEXT,
        started_s REAL,
        ended_s REAL
    )"""
_INDEXES = ("CREATE INDEX jobs_by_owner ON jobs (owner)", "CREATE INDEX jobs_by_state ON jobs (state)")
_ID = re.compile(r"[0-9a-f]{32}")


class JobStore:
    """The jobs in the SQLite file `path`, which is made where it does not exist, readable by its user alone.

    Threads may share it. One process at a time has the file open: two schedulers would run the same jobs.
    All methods raise `OutputError` where the file cannot be read or written.
    """

    def __init__(self, path: Path, lock_timeout_s: float = LOCK_TIMEOUT_S) -> None:
        self.path = path
        self._lock = threading.RLock()
        with self._errors():
            path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            path.chmod(0o600)  # the file may be there already; SQLite gives its log the same mode
            self._connection = sqlite3.connect(
                path, timeout=lock_timeout_s, isolation_level=None, check_same_thread=False
            )
        try:
            self._open()
        except BaseException:
            self._connection.close()
            raise

    def add(self, record: JobRecord) -> None:
        """Store a new job."""
        marks = ", ".join("?" * len(_COLUMNS))
        with self._transaction() as connection:
            connection.execute(f"INSERT INTO jobs ({', '.join(_COLUMNS)}) VALUES ({marks})", _row(record))

    def save(self, *records: JobRecord) -> None:
        """Store all fields of these jobs in one transaction; a job that was deleted stays deleted."""
        values = ", ".join(f"{name} = ?" for name in _COLUMNS)
        with self._transaction() as connection:
            rows = [(*_row(record), record.id) for record in records]
            connection.executemany(f"UPDATE jobs SET {values} WHERE id = ?", rows)

    def job(self, owner: str, job_id: str) -> JobRecord | None:
        """The owner's job of that id, None where he has none."""
        found = self._select("id = ? AND owner = ?", (job_id, owner)) if _ID.fullmatch(job_id) else []
        return found[0] if found else None

    def jobs(self, owner: str) -> list[JobRecord]:
        """The owner's jobs in the order in which they were submitted."""
        return self._select("owner = ?", (owner,))

    def in_state(self, *states: JobState) -> list[JobRecord]:
        """The jobs of all owners in these states, in the order in which they were submitted."""
        return self._select(f"state IN ({', '.join('?' * len(states))})", states)

    def ended_before(self, time_s: float) -> list[JobRecord]:
        """The jobs of all owners that ended before that time, in seconds since 1970."""
        return self._select("ended_s < ?", (time_s,))

    def owners_by_start(self) -> list[str]:
        """The owners of jobs that were started; the one whose latest start is longest ago comes first."""
        with self._lock, self._errors():
            rows = self._connection.execute(
                "SELECT owner FROM jobs WHERE started_s IS NOT NULL GROUP BY owner ORDER BY MAX(started_s)"
            ).fetchall()
        return [owner for (owner,) in rows]

    def delete(self, *records: JobRecord) -> None:
        """Delete these jobs in one transaction."""
        with self._transaction() as connection:
            connection.executemany("DELETE FROM jobs WHERE id = ?", [(record.id,) for record in records])

    def close(self) -> None:
        """Close the file; another process may then open it."""
        with self._lock:
            self._connection.close()

    def _open(self) -> None:
        with self._errors():
            # The lock of the file is held until it is closed or the process ends, and needs no shared memory then.
            self._connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.execute("PRAGMA secure_delete = ON")
        with self._transaction() as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version > SCHEMA:
                raise OutputError(
                    "{path} has the jobs of a newer version (schema {version}, this one reads {known}): "
                    "install that version, or choose another folder for results",
                    path=self.path,
                    version=version,
                    known=SCHEMA,
                )
            if version < SCHEMA:
                # Schema 1 had errors as plain text.
                made = (_TABLE, *_INDEXES) if version == 0 else ("UPDATE jobs SET error = json_quote(error)",)
                for statement in (*made, f"PRAGMA user_version = {SCHEMA}"):
                    connection.execute(statement)

    def _select(self, condition: str, values: Sequence[str | float]) -> list[JobRecord]:
        query = f"SELECT {', '.join(_COLUMNS)} FROM jobs WHERE {condition} ORDER BY created_s, rowid"
        with self._lock, self._errors():
            return [_record(row) for row in self._connection.execute(query, values).fetchall()]

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All of the block is stored, or nothing of it."""
        with self._lock, self._errors():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn the errors of SQLite and of the disk into an `OutputError`."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            if "locked" in str(error):
                reason = "another process uses it: close that app, or choose another folder for results"
            elif isinstance(error, sqlite3.DatabaseError) and "not a database" in str(error):
                reason = "it is not a file of jobs: remove it"
            else:
                reason = f"{error}: check the disk and its free space"
            raise OutputError(
                "the jobs in {path} cannot be read or written, as {reason}", path=self.path, reason=reason
            ) from error


def _row(record: JobRecord) -> tuple[object, ...]:
    """The values of `_COLUMNS`."""
    values = {name: getattr(record, name) for name in _COLUMNS}
    values["messages"] = json.dumps(encode([with_values(text, _valid) for text in record.messages]))
    values["error"] = json.dumps(None if record.error is None else encode(with_values(record.error, _valid)))
    return tuple(values.values())


def _valid(text: str) -> str:
    """The text without the surrogates of a path that is not Unicode: no page could show it."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _record(row: Sequence[object]) -> JobRecord:
    values: dict[str, object] = dict(zip(_COLUMNS, row, strict=True))
    values["messages"] = tuple(decode(json.loads(str(values["messages"]))))
    values["error"] = decode(json.loads(str(values["error"])))
    values["stopping"] = bool(values["stopping"])
    return JobRecord(**values)  # type: ignore[arg-type]
