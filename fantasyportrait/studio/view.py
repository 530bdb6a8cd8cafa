"""The view: what the page shows of a session, as one JSON object without paths of the server."""

from dataclasses import asdict
from typing import Any

from fantasyportrait.studio.clip_state import ClipState
from fantasyportrait.studio.session_store import Session
from fantasyportrait.studio.state import PhotoState, SessionState


def session_view(session: Session, loop: dict[str, Any]) -> dict[str, Any]:
    """The photo, cards, clips and options of a session. File names become URLs relative to the page."""
    state = session.state
    return {
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


def moving_faces(state: SessionState) -> int:
    """How many faces of the photo are not still."""
    return sum(state.card(face.id).kind != "still" for face in state.faces)
