"""The jobs and results of a session as the page shows them, as JSON objects without paths of the server."""

import json
from collections.abc import Sequence
from typing import Any

from fantasyportrait.studio.downloads import SIDE_BY_SIDE, Downloads
from fantasyportrait.studio.job_actions import poster_name
from fantasyportrait.studio.job_inputs import REQUEST, TEXTS, plain_text
from fantasyportrait.studio.messages import named
from fantasyportrait.studio.session_store import RESULTS, Session
from fantasyportrait.studio.shared_links import SharedLinks
from fantasyportrait.studio.view import file_url
from fantasyportrait.workers.job_store import JobRecord


def library_view(
    session: Session, jobs: Sequence[JobRecord], downloads: Downloads, links: SharedLinks, expiry_s: float
) -> dict[str, Any]:
    """The jobs, running and pending ones first, and the results, the latest first.

    `expires_s` is how long the session stays after the last visit, in seconds; that of a result is a time.
    """
    results = [
        result_view(session, job)
        | {
            "downloads": downloads_view(session, job, downloads),
            "link": links.find(session, job.id),
            "expires_s": (job.ended_s or 0.0) + expiry_s,
        }
        for job in jobs
        if job.state == "done"
    ]
    for result in results:
        result["side_by_side"] = result["downloads"][SIDE_BY_SIDE]["url"]
    return {
        "expires_s": expiry_s,
        "jobs": [job_view(session, job) for job in jobs if job.state != "done"],
        "results": results,
    }


def job_view(session: Session, record: JobRecord) -> dict[str, Any]:
    """A job as the page shows it."""
    return {
        **_summary(session, record),
        "state": record.state,
        "stopping": record.stopping,
        "place": record.place,
        "stage": record.stage,
        "done": record.done,
        "total": record.total,
        "remaining_s": record.remaining_s,
        "messages": _messages(session, record, record.messages),
        "error": _messages(session, record, [record.error or ""])[0],
        "created_s": record.created_s,
        "ended_s": record.ended_s,
        "preview_url": file_url(session, poster_name(session, record)),
    }


def result_view(session: Session, record: JobRecord) -> dict[str, Any]:
    """The result of a job that is done, as the page shows it."""
    result, folder = json.loads(record.result or "{}"), f"{RESULTS}/{record.id}"
    # A recording of presenter mode has no request that makes it again.
    repeatable = result["request"] is not None
    return {
        **_summary(session, record),
        "video": file_url(session, f"{folder}/{result['video']}"),
        "request": file_url(session, f"{folder}/{REQUEST}" if repeatable else None),
        "texts": file_url(session, f"{folder}/{TEXTS}" if repeatable else None),
        "poster": file_url(session, poster_name(session, record)),
        "duration_s": result["duration_s"],
        "frames": result["frames"],
        "messages": _messages(session, record, result["messages"]),
        "created_s": record.ended_s,
    }


def downloads_view(session: Session, record: JobRecord, downloads: Downloads) -> dict[str, Any]:
    """The state of each format of a result, with its URL once it is there."""
    found = downloads.view(session, record.id)
    return {kind: {**state, "url": file_url(session, state.pop("file"))} for kind, state in found.items()}


def _summary(session: Session, record: JobRecord) -> dict[str, Any]:
    label = json.loads(record.label)
    photo = session.state.photo
    return {
        "id": record.id,
        "engine": label["engine"],
        "faces": label["faces"],
        "seed": label["seed"],
        "plays": [{"face": face, "kind": kind, "name": name} for face, kind, name in label["plays"]],
        "photo": {
            "name": label["names"][label["portrait"]],
            "thumb": file_url(session, label["thumbnail"]),
            "shown": photo is not None and photo.path.endswith(f"/{label['portrait']}"),
        },
    }


def _messages(session: Session, record: JobRecord, texts: Sequence[str]) -> list[str]:
    """The sentences of a run with the visitor's names of files."""
    names, folder = json.loads(record.label)["names"], session.path(f"{RESULTS}/{record.id}")
    return [named(plain_text(text, folder), names) for text in texts]
