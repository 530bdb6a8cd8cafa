"""The SQLite file of jobs: records come back as they were, owners apart, one process at a time."""

import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from fantasyportrait.core.errors import OutputError
from fantasyportrait.core.sentences import Sentence, encode
from fantasyportrait.workers.job_store import SCHEMA, JobRecord, JobStore

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
RECORDS = st.builds(
    JobRecord,
    id=st.uuids().map(lambda value: value.hex),
    owner=TEXT,
    payload=TEXT,
    label=TEXT,
    created_s=st.floats(0, 1e10),
    state=st.sampled_from(["pending", "running", "done", "failed", "cancelled"]),
    rank=st.integers(-1000, 1000),
    attempts=st.integers(0, 3),
    stopping=st.booleans(),
    stage=TEXT,
    done=st.integers(0, 10**9),
    total=st.integers(0, 10**9),
    remaining_s=st.none() | st.floats(0, 1e6),
    messages=st.lists(TEXT).map(tuple),
    error=st.none() | TEXT,
    result=st.none() | TEXT,
    started_s=st.none() | st.floats(0, 1e10),
    ended_s=st.none() | st.floats(0, 1e10),
)


def record(number: int = 0, owner: str = "ann", **changes: object) -> JobRecord:
    return replace(JobRecord(f"{number:032x}", owner, "payload", "{}", float(number)), **changes)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sessions" / "jobs.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[JobStore]:
    made = JobStore(path)
    yield made
    made.close()


@given(st.lists(RECORDS, unique_by=lambda each: each.id, max_size=6))
def test_records_come_back_equal_after_file_is_closed(
    tmp_path_factory: pytest.TempPathFactory, records: list[JobRecord]
) -> None:
    path = tmp_path_factory.mktemp("jobs") / "jobs.sqlite"
    first = JobStore(path)
    for each in records:
        first.add(each)
    first.close()
    again = JobStore(path)
    assert [again.job(each.owner, each.id) for each in records] == records
    again.close()


def test_save_changes_all_fields_and_revives_no_deleted_job(store: JobStore) -> None:
    kept, gone = record(1), record(2)
    for each in (kept, gone):
        store.add(each)
    changed = record(1, state="failed", messages=("one", "two"), error="why", stopping=True, ended_s=4.5)
    store.delete(gone)
    store.save(changed, gone)
    assert store.jobs("ann") == [changed]


def test_job_of_another_owner_and_no_id_are_none(store: JobStore) -> None:
    store.add(record(1))
    assert store.job("ann", record(1).id) == record(1)
    for owner, job_id in [("ben", record(1).id), ("ann", record(2).id), ("ann", ""), ("ann", "%"), ("ann", "\ud800")]:
        assert store.job(owner, job_id) is None
    assert store.jobs("ben") == []


def test_error_with_path_that_is_not_unicode_is_stored(store: JobStore) -> None:
    store.add(record(1, state="failed", error="no file \udcff.png", messages=("\udcff",)))
    (found,) = store.jobs("ann")
    assert found.error == "no file \\udcff.png" and found.messages == ("\\udcff",)


def test_queries_by_state_end_and_start(store: JobStore) -> None:
    rows = [
        record(1, "ann", started_s=5.0, ended_s=6.0, state="done"),
        record(2, "ben", started_s=3.0, state="running"),
        record(3, "ann", started_s=1.0, ended_s=2.0, state="failed"),
        record(4, "cat"),
    ]
    for row in rows:
        store.add(row)
    assert store.in_state("pending", "running") == [rows[1], rows[3]]
    assert store.ended_before(6.0) == [rows[2]]
    assert store.owners_by_start() == ["ben", "ann"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_files_are_readable_by_their_user_alone(path: Path) -> None:
    path.parent.mkdir()
    path.touch(0o644)
    store = JobStore(path)
    store.add(record())
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    store.close()
    assert modes == {"jobs.sqlite": 0o600, "jobs.sqlite-wal": 0o600}


def test_second_process_is_refused_until_file_is_closed(store: JobStore, path: Path) -> None:
    code = "import sys; from pathlib import Path; from fantasyportrait.workers.job_store import JobStore\n"
    code += "JobStore(Path(sys.argv[1]), lock_timeout_s=0.0).close()"

    def other() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", code, str(path)]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)

    assert "another process uses it" in other().stderr
    store.close()
    assert other().returncode == 0


def test_newer_schema_and_foreign_file_are_refused(path: Path) -> None:
    JobStore(path).close()
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA,)
    connection.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    connection.close()
    with pytest.raises(OutputError, match=f"schema {SCHEMA + 1}"):
        JobStore(path)
    path.write_bytes(b"not SQLite" * 200)
    with pytest.raises(OutputError, match="not a file of jobs"):
        JobStore(path)


def test_errors_and_messages_keep_their_keys(store: JobStore) -> None:
    failed = record(1, error=Sentence("{path} is empty", path="a.mp4"), messages=(Sentence("{n} faces", n=2), "plain"))
    store.add(failed)
    (found,) = store.jobs("ann")
    assert found == failed and encode([found.error, *found.messages]) == encode([failed.error, *failed.messages])


def test_jobs_of_schema_1_are_read(path: Path) -> None:
    with closing(JobStore(path)) as store:
        store.add(record(1, error='"quoted"'))
        store.add(record(2))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE jobs SET error = json_extract(error, '$')")
        connection.execute("PRAGMA user_version = 1")
    with closing(JobStore(path)) as store:
        assert [each.error for each in store.jobs("ann")] == ['"quoted"', None]


def test_failed_transaction_stores_nothing(store: JobStore) -> None:
    store.add(record(1))
    with pytest.raises(OutputError):
        store.save(record(1, error="new"), record(1, state="unheard of"))
    assert store.jobs("ann") == [record(1)]
    store.add(record(2))


def test_threads_share_a_store(store: JobStore) -> None:
    def work(number: int) -> None:
        for each in range(20):
            added = record(100 * number + each, f"owner {number}")
            store.add(added)
            store.save(replace(added, done=each))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(4):
        assert [each.done for each in store.jobs(f"owner {number}")] == list(range(20))
