"""The two top-level functions of the package: the faces of a photo, and a video of it in one call."""

from collections.abc import Callable, Iterable
from dataclasses import fields
from typing import Any

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import RequestError
from fantasyportrait.core.suggest import did_you_mean
from fantasyportrait.schema.cast import Role
from fantasyportrait.schema.converters import StrPath
from fantasyportrait.schema.events import Event, Result
from fantasyportrait.schema.face import Face
from fantasyportrait.schema.face_edits import NO_EDITS, FaceEdits
from fantasyportrait.schema.portrait import PortraitLike
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.service.animator import Animator
from fantasyportrait.service.input_reader import InputReader

OPTIONS = tuple(
    field.name for field in fields(AnimationRequest) if field.name not in ("portrait", "cast", "portrait_sha256")
)


def faces(
    photo: PortraitLike,
    *,
    detector: str = "centerface",
    face_edits: FaceEdits = NO_EDITS,
    models_dir: StrPath | None = None,
) -> tuple[Face, ...]:
    """The faces of a photo, numbered as a cast names them.

    Args:
        photo: a path, a numpy array uint8 RGB (H, W, 3), RGBA or grey, or a Pillow image.
        detector: centerface, original or insightface.
        face_edits: faces that are added by a box, and false ones removed; the same edits as in the request.
        models_dir: the folder of the model files; the usual one by default.

    Raises `MediaError` for a photo that cannot be read, `FaceError` where no face is large enough.
    """
    return InputReader(models_dir).faces(photo, detector, face_edits)[1]


def animate(
    photo: PortraitLike,
    cast: Role | str | Iterable[Role | str],
    output: StrPath,
    *,
    models_dir: StrPath | None = None,
    on_event: Callable[[Event], None] | None = None,
    cancel: CancelToken | None = None,
    **options: Any,
) -> Result:
    """Make a video in which each face of the photo acts its own clip or motion, and return its paths.

    Args:
        photo: a path, a numpy array uint8 RGB (H, W, 3), RGBA or grey, or a Pillow image.
        cast: roles, or their text on the command line: ["1=a.mp4", "2=motion:smile"].
        output: the video, .mp4, .webm or .gif, or no suffix for a folder of PNG frames.
        models_dir: the folder of the model files; the usual one by default.
        on_event: gets the events of the run, see `fantasyportrait.events`.
        cancel: its `cancel()` stops the run, which then raises `Cancelled`.
        options: further fields of `AnimationRequest`, such as duration, rate, sound, engine.

    Raises a `FantasyPortraitError`; then nothing was written.
    """
    unknown = [name for name in options if name not in OPTIONS]
    if unknown:
        hint = did_you_mean(unknown[0], OPTIONS)
        raise RequestError(
            "{unknown!r} is no option of a request{hint}: give {names}",
            unknown=unknown[0],
            hint=hint,
            names=", ".join(OPTIONS),
        )
    request = AnimationRequest(photo, cast, **options)
    return Animator(models_dir).animate(request, output, cancel=cancel, on_event=on_event)
