"""The photo of a session: its faces with thumbnails and warnings, or the reason why none can be used."""

from dataclasses import replace

import numpy as np

from fantasyportrait.core.errors import FantasyPortraitError
from fantasyportrait.faces.photo_report import photo_warnings
from fantasyportrait.images.images import Photo, even_size
from fantasyportrait.schema.face import Face
from fantasyportrait.schema.face_edits import NO_EDITS, FaceEdits
from fantasyportrait.service.animator import Animator
from fantasyportrait.studio.messages import hide_paths
from fantasyportrait.studio.session_store import Session, forget_files, new_id
from fantasyportrait.studio.shown_files import THUMBNAIL_SIDE, save_picture, square_around
from fantasyportrait.studio.state import PhotoFace, PhotoState

SHOWN_SIDE = 1600
VIDEO_SIDE = 1280
"""The longest side of a video of the preview engine, at which faces are measured."""


def read_photo(session: Session, animator: Animator, path: str, name: str, edits: FaceEdits = NO_EDITS) -> PhotoState:
    """The state of a photo, which is at `path` in the session's folder; where it cannot be used, with the reason.

    Raises `FaceError` for an edit that cannot be applied.
    """
    file = session.path(path)
    photo = PhotoState(new_id(), path, name, edits=edits)
    try:
        found, faces, refusal = animator.inputs.analyse(file, edits=edits)
    except FantasyPortraitError as error:
        if edits:
            raise
        return replace(photo, error=hide_paths(error, {file: name}), messages=error.messages)
    height, width = found.pixels.shape[:2]
    if faces:
        # The loop of the scene follows at once, and does not look for the faces again.
        animator.small_portraits.add(found, faces, edits=edits)
    return replace(
        photo,
        shown=save_picture(session, found.pixels, SHOWN_SIDE),
        size=(width, height),
        faces=_shown_faces(session, found, faces, edits),
        messages=tuple(hide_paths(message, {file: name}) for message in found.messages),
        error=hide_paths(refusal, {file: name}) if refusal else "",
    )


def forget_photo(session: Session, photo: PhotoState | None) -> None:
    """Remove the pictures of a photo that is no longer shown; the upload stays for the jobs that use it."""
    if photo is not None:
        forget_files(session, photo.shown, *(face.thumbnail for face in photo.faces))


def _shown_faces(session: Session, photo: Photo, faces: tuple[Face, ...], edits: FaceEdits) -> tuple[PhotoFace, ...]:
    height, width = photo.pixels.shape[:2]
    warnings = photo_warnings(photo.pixels, faces, lambda side: even_size(width, height, side or VIDEO_SIDE))
    added = {face.face for face in edits.added}
    return tuple(
        PhotoFace(
            face.id,
            _fractions(face, width, height),
            save_picture(session, square_around(photo.pixels, face.box), THUMBNAIL_SIDE),
            warnings[face.id],
            face.id in added,
        )
        for face in faces
    )


def _fractions(face: Face, width: int, height: int) -> tuple[float, float, float, float]:
    left, top, right, bottom = np.clip(face.box / np.array([width, height, width, height], np.float32), 0, 1)
    return float(left), float(top), float(right), float(bottom)
