"""The view: what the page shows of a session, as one JSON object without paths of the server."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from fantasyportrait.studio.clip_state import ClipState
from fantasyportrait.studio.job_actions import poster_name
from fantasyportrait.studio.messages import named
from fantasyportrait.studio.session_store import RESULTS, Session
from fantasyportrait.studio.state import PhotoState, SessionState
from fantasyportrait.workers.job_store import JobRecord


def session_view(session: Session, jobs: Sequence[JobRecord], loop: dict[str, Any]) -> dict[str, Any]:
    """The photo, cards, clips, options and jobs of a session. File names become URLs relative to the page."""
    state = session.state
    return {
        "jobs": [job_view(session, job) for job in jobs if job.state != "done"],
        "results": [result_view(session, job) for job in reversed(jobs) if job.state == "done"],
        "photo": photo_view(session, state.photo, loop),
        "cards": {str(face.id): asdict(state.card(face.id)) for face in state.faces},
        "clips": [clip_view(session, clip) for clip in state.clips],
        "options": dict(state.options),
    }


def file_url(session: Session, name: str | None) -> str | None:
    """The relative URL of a file of the session, None for none."""
    return f"files/{session.id}/{name}" if name else None


def photo_view(session: Session, photo: PhotoState | None, loop: dict[str, Any]) -> dict[str, Any] | None:
    """The photo as the page shows it."""
    if photo is None:
        return None
    return {
        "id": photo.id,
        "name": photo.name,
        "url": file_url(session, photo.shown),
        "width": photo.size[0],
        "height": photo.size[1],
        "messages": list(photo.messages),
        "error": photo.error,
        "edited": bool(photo.edits),
        "loop": {
            "state": loop["state"],
            "frame_url": file_url(session, loop["frame"]),
            "url": file_url(session, loop["video"]),
            "error": loop["error"],
        },
        "faces": [
            {
                "id": face.id,
                "box": list(face.box),
                "thumb": file_url(session, face.thumbnail),
                "warnings": list(face.warnings),
                "added": face.added,
            }
            for face in photo.faces
        ],
    }


def clip_view(session: Session, clip: ClipState) -> dict[str, Any]:
    """A clip as the page shows it."""
    data = clip.to_json()
    del data["path"]
    return {
        **data,
        "url": file_url(session, clip.path),
        "poster": file_url(session, clip.poster),
        "strip": [file_url(session, name) for name in clip.strip],
        "people": [{**asdict(person), "thumb": file_url(session, person.thumb)} for person in clip.people],
    }


def job_view(session: Session, record: JobRecord) -> dict[str, Any]:
    """A job as the page shows it."""
    label = json.loads(record.label)
    return {
        "id": record.id,
        "state": record.state,
        "stopping": record.stopping,
        "place": record.place,
        "engine": label["engine"],
        "faces": label["faces"],
        "seed": label["seed"],
        "stage": record.stage,
        "done": record.done,
        "total": record.total,
        "remaining_s": record.remaining_s,
        "messages": [named(text, label["names"]) for text in record.messages],
        "error": named(record.error or "", label["names"]),
        "created_s": record.created_s,
        "ended_s": record.ended_s,
        "preview_url": file_url(session, poster_name(session, record)),
    }


def result_view(session: Session, record: JobRecord) -> dict[str, Any]:
    """The result of a job that is done, as the page shows it."""
    label, result = json.loads(record.label), json.loads(record.result or "{}")

    def url(name: str | None) -> str | None:
        return file_url(session, f"{RESULTS}/{record.id}/{name}") if name else None

    return {
        "id": record.id,
        "video": url(result["video"]),
        "side_by_side": url(result["side_by_side"]),
        "request": url(result["request"]),
        "poster": file_url(session, poster_name(session, record)),
        "engine": label["engine"],
        "faces": label["faces"],
        "seed": label["seed"],
        "duration_s": result["duration_s"],
        "frames": result["frames"],
        "messages": [named(text, label["names"]) for text in result["messages"]],
        "created_s": record.ended_s,
    }


def moving_faces(state: SessionState) -> int:
    """How many faces of the photo are not still."""
    return sum(state.card(face.id).kind != "still" for face in state.faces)
