"""Reads the inputs of a request: the faces of a portrait, the persons of a driving clip."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.digests import FileHasher, HashedFile
from fantasyportrait.core.disk_cache import CACHE_EXPIRY_S
from fantasyportrait.core.errors import FaceError
from fantasyportrait.core.paths import default_cache_dir
from fantasyportrait.faces.analyser import FaceAnalyser
from fantasyportrait.faces.clip_orientation import UprightDecoder, clip_rotation
from fantasyportrait.faces.face_models import FaceModels
from fantasyportrait.faces.insightface_detector import LICENCE
from fantasyportrait.faces.orientation import Rotation, rotated
from fantasyportrait.faces.track_cache import cached_tracks
from fantasyportrait.images.images import Photo
from fantasyportrait.media.clip_info import ClipInfo
from fantasyportrait.media.clips import check_span
from fantasyportrait.media.decoder import Decoder, LocalDecoder
from fantasyportrait.media.input_digests import check_input_file
from fantasyportrait.motion.motion_file_decoder import MotionFileDecoder
from fantasyportrait.motion.motion_files import is_motion_file, read_motion_file
from fantasyportrait.preview.preview_times import PREVIEW_TIME_LOG, PreviewTimeLog
from fantasyportrait.schema.cast import MAX_DURATION_S
from fantasyportrait.schema.checks import check_choice, check_number
from fantasyportrait.schema.converters import StrPath, as_folder_or_none, as_path
from fantasyportrait.schema.face import Face, MaskedFace, Track
from fantasyportrait.schema.face_edits import NO_EDITS, FaceEdits
from fantasyportrait.schema.portrait import PortraitLike, as_portrait, portrait_name
from fantasyportrait.schema.request import DETECTORS, Rate, read_rate

# More than the requests of all visitors name at one time.
_MOST_INFOS = 256


class InputReader:
    """Finds the faces of portraits and tracks the persons of driving clips. Threads may share it.

    `decoder` reads photos, clips and sound, in this process where it is None. A cached analysis of a clip that is not
    used for `cache_expiry_s` seconds expires.
    """

    def __init__(
        self,
        models_dir: StrPath | None = None,
        cache_dir: StrPath | None = None,
        decoder: Decoder | None = None,
        cache_expiry_s: float = CACHE_EXPIRY_S,
    ) -> None:
        self.models_dir = as_folder_or_none(models_dir, "models_dir")
        self.cache_dir = as_folder_or_none(cache_dir, "cache_dir")
        self.face_models = FaceModels(self.models_dir)
        motion_files = MotionFileDecoder(decoder or LocalDecoder(), self.face_models.canonical_face)
        self.decoder = UprightDecoder(motion_files)
        self.preview_times = PreviewTimeLog((self.cache_dir or default_cache_dir()) / PREVIEW_TIME_LOG)
        self._hasher = FileHasher()
        self._infos: OrderedDict[tuple[HashedFile, Rotation], ClipInfo] = OrderedDict()
        self._lock = threading.Lock()
        self._cache_expiry_s = cache_expiry_s

    def faces(
        self, portrait: PortraitLike, detector: str = "centerface", edits: FaceEdits = NO_EDITS
    ) -> tuple[Photo, tuple[Face, ...]]:
        """The photo, turned upright where its faces lie on their side, and its faces in the order of their numbers.

        `portrait` is a path, or a picture in memory as in a request; `edits` are applied to the faces that are found.
        Boxes and landmarks are pixels of the returned photo, which has the size of the file unless a message reports
        another one. Raises `MediaError` for an unreadable photo and `FaceError` where no face is large enough or an
        edit cannot be applied, with the `messages` of the photo.
        """
        photo, faces, refusal = self.analyse(portrait, detector, edits)
        if refusal is not None:
            raise refusal
        return photo, faces

    def analyse(
        self, portrait: PortraitLike, detector: str = "centerface", edits: FaceEdits = NO_EDITS
    ) -> tuple[Photo, tuple[Face, ...], FaceError | None]:
        """As `faces`, but a photo without a usable face is returned with the reason, so that it can be shown."""
        given = as_portrait(portrait, "portrait")
        check_choice("detector", detector, tuple(DETECTORS))
        original = self.decoder.photo(given) if isinstance(given, Path) else given
        messages = list(original.messages)
        if detector == "insightface":
            messages.append(LICENCE)

        def named(error: FaceError) -> FaceError:
            refusal = FaceError("{name}: {error}", name=portrait_name(given), error=error)
            refusal.messages = tuple(messages)
            return refusal

        try:
            analyser = FaceAnalyser(self.face_models, detector)
            found = analyser.analyse(original.pixels, messages, self.decoder.limits.faces, edits)
        except FaceError as error:
            raise named(error) from error
        alpha = None if original.alpha is None else rotated(original.alpha, found.rotation)
        photo = Photo(found.pixels, tuple(messages), original.sha256, alpha)
        return photo, found.faces, found.refusal and named(found.refusal)

    def masked(self, pixels: NDArray[np.uint8], faces: Sequence[Face]) -> tuple[MaskedFace, ...]:
        """The faces with masks of their heads; `pixels` is the RGB photo, uint8 (H, W, 3), of their coordinates."""
        return self.face_models.head_masks().masked(pixels, faces)

    def hashed(self, path: Path) -> HashedFile:
        """The file with its sha256, which is taken once. Raises `MediaError` where it cannot be read."""
        return self._hasher.hashed(path)

    def clip_info(self, path: Path) -> ClipInfo:
        """What the decoder's `probe` returns, which is asked once for each version of a clip.

        Raises `MediaError` for an unreadable clip.
        """
        key = self.hashed(path), self.decoder.rotation_of(path)
        with self._lock:
            info = self._infos.get(key)
        if info is None:
            info = self.decoder.probe(path)
            with self._lock:
                self._infos[key] = info
                while len(self._infos) > _MOST_INFOS:
                    self._infos.popitem(last=False)
        return info

    def tracks(
        self,
        clip: StrPath,
        rate: Rate = Fraction(25),
        start_s: float = 0.0,
        end_s: float | None = None,
        *,
        progress: Callable[[int, int], None] | None = None,
        cancel: CancelToken | None = None,
    ) -> tuple[Track, ...]:
        """The track of every person of the clip, at `rate` frames a second; a clip that was tracked before is cached.

        A motion file is read in place of a clip; it has one person.

        A clip that lies on its side or is upside down is rotated; `decoder.rotation_of` returns by how much afterwards.
        Raises `MediaError` for an unreadable clip, `FaceError` for one without a face, `Cancelled`.
        """
        path = as_path(clip, "clip")
        check_number("start_s", start_s, 0, MAX_DURATION_S)
        if end_s is not None:
            check_number("end_s", end_s, 0, MAX_DURATION_S)
        check_input_file(path, "clip")
        if is_motion_file(path):
            check_span(path, start_s, end_s)
            return (self._motion_file_track(path, read_rate(rate), start_s, end_s),)
        file = self.hashed(path)
        cache = self.cache_dir or default_cache_dir()

        def tracked(rotation: Rotation) -> tuple[Track, ...]:
            return cached_tracks(
                file,
                read_rate(rate),
                start_s,
                end_s,
                models=self.face_models,
                decoder=self.decoder,
                cache_dir=cache / f"turned-{rotation}" if rotation else cache,
                expiry_s=self._cache_expiry_s,
                progress=progress,
                cancel=cancel,
            )

        known = self.decoder.rotation_of(path)
        if known:
            return tracked(known)
        tracks: tuple[Track, ...] = ()
        refusal: FaceError | None = None
        try:
            tracks = tracked(0)
        except FaceError as error:
            refusal = error
        rotation = clip_rotation(path, tracks, self.decoder, self.face_models)
        if rotation:
            self.decoder.set_rotation(path, rotation)
            return tracked(rotation)
        if refusal is not None:
            raise refusal
        return tracks

    def _motion_file_track(self, path: Path, rate: Fraction, start_s: float, end_s: float | None) -> Track:
        """The track of a motion file; raises `FaceError` where it shows no face in this part."""
        limits = self.decoder.limits
        motion = read_motion_file(path, limits)
        track = motion.track(self.face_models.canonical_face(), rate, start_s, end_s, limits.track_rows)
        if not track.valid.any():
            raise FaceError("{path} shows no face in this part: choose another start and end", path=path)
        return track
