"""The photo of a session: its faces with thumbnails, or the reason why none can be used."""

from pathlib import Path

import numpy as np

from fantasyportrait.core.errors import FantasyPortraitError
from fantasyportrait.images.images import Photo
from fantasyportrait.schema.face import Face
from fantasyportrait.service.input_reader import InputReader
from fantasyportrait.studio.messages import hide_paths
from fantasyportrait.studio.session_store import Session, forget_files, new_id
from fantasyportrait.studio.shown_files import THUMBNAIL_SIDE, save_picture, square_around
from fantasyportrait.studio.state import PhotoFace, PhotoState

SHOWN_SIDE = 1600


def read_photo(session: Session, inputs: InputReader, path: str, name: str) -> PhotoState:
    """The state of a photo, which is at `path` in the session's folder; where it cannot be used, with the reason."""
    file = session.path(path)
    photo = PhotoState(new_id(), path, name)
    try:
        found, faces = inputs.faces(file)
    except FantasyPortraitError as error:
        return _refused(session, inputs, photo, error, file)
    height, width = found.pixels.shape[:2]
    messages = tuple(hide_paths(message, {file: name}) for message in found.messages)
    return PhotoState(
        photo.id,
        path,
        name,
        shown=save_picture(session, found.pixels, SHOWN_SIDE),
        size=(width, height),
        faces=tuple(_shown_face(session, found, face) for face in faces),
        messages=messages,
    )


def forget_photo(session: Session, photo: PhotoState | None) -> None:
    """Remove the pictures of a photo that is no longer shown; the upload stays for the jobs that use it."""
    if photo is not None:
        forget_files(session, photo.shown, *(face.thumbnail for face in photo.faces))


def _refused(
    session: Session, inputs: InputReader, photo: PhotoState, error: FantasyPortraitError, file: Path
) -> PhotoState:
    names = {file: photo.name}
    shown, size = "", (0, 0)
    try:
        pixels = inputs.decoder.photo(file).pixels
        shown, size = save_picture(session, pixels, SHOWN_SIDE), (pixels.shape[1], pixels.shape[0])
    except FantasyPortraitError:
        pass  # The error above says already that it is no picture.
    messages = tuple(hide_paths(message, names) for message in error.messages)
    return PhotoState(
        photo.id, photo.path, photo.name, shown, size, messages=messages, error=hide_paths(str(error), names)
    )


def _shown_face(session: Session, photo: Photo, face: Face) -> PhotoFace:
    height, width = photo.pixels.shape[:2]
    left, top, right, bottom = np.clip(face.box / np.array([width, height, width, height], np.float32), 0, 1)
    thumbnail = save_picture(session, square_around(photo.pixels, face.box), THUMBNAIL_SIDE)
    return PhotoFace(face.id, (float(left), float(top), float(right), float(bottom)), thumbnail)
