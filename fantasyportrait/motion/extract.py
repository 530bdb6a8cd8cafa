"""driving clip + track -> `MotionCode`: align, crop, encode in batches; exactly one row a frame."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import FaceError, MediaError
from fantasyportrait.motion.alignment import encoder_input, face_crop, five_point_matrix, mirrored_five
from fantasyportrait.motion.motion_nets import CropBatcher, MotionNets
from fantasyportrait.motion.smoothing import smooth_landmarks
from fantasyportrait.schema.face import Face, Track
from fantasyportrait.schema.motion_code import MotionCode

Pixels = NDArray[np.uint8]
TimedPixels = tuple[float, Pixels]
# A photo is shrunk first where the crop would take less than every second pixel.
_SMALLEST_SCALE = 0.5


def extract_motion(
    frames: Iterable[TimedPixels],
    track: Track,
    nets: MotionNets,
    *,
    mirror: bool = False,
    progress: Callable[[int, int], None] | None = None,
    cancel: CancelToken | None = None,
) -> MotionCode:
    """The code of a tracked person, exactly `len(track)` rows.

    Frames are read one by one. A row where the tracker or the landmark net lost the face is filled from its
    neighbours and marked in `valid`.

    Args:
        frames: RGB uint8 (H, W, 3) of the track's size, each with its own time in rows: what
            `media.clips.read_resampled` yields for the span, rate and largest side (`faces.clip_tracking.MAX_SIDE`)
            with which the clip was tracked.
        track: the person's rows.
        nets: the encoder and the way of alignment.
        mirror: swap left and right.
        progress: gets (rows done, rows of the track).
        cancel: asked before each frame.

    Raises:
        FaceError: the face is lost in every frame.
        MediaError: there are more or fewer frames than rows.
        Cancelled: the user stopped it.
    """
    # The original landmarks have a smoothing of their own; only the mesh is smoothed here.
    smoothing = nets.smoothing if nets.alignment == "mesh" else 0.0
    rows = _Rows(smooth_landmarks(track.landmarks, smoothing), track.valid)
    return _encode(_sized(frames, track.size), rows, nets, mirror, progress, cancel)


def encode_frames(
    frames: Iterable[Pixels],
    landmarks: NDArray[np.float32],
    nets: MotionNets,
    *,
    mirror: bool = False,
    progress: Callable[[int, int], None] | None = None,
    cancel: CancelToken | None = None,
) -> MotionCode:
    """The code of a face whose landmarks (T, 478, 3), in pixels of its T RGB frames, are known: of drawn frames.

    Nothing is smoothed beforehand. Raises what `extract_motion` raises.
    """
    rows = _Rows(landmarks, np.ones(len(landmarks), np.bool_))
    timed = ((float(row), pixels) for row, pixels in enumerate(frames))
    return _encode(timed, rows, nets, mirror, progress, cancel)


def encode_portrait(pixels: Pixels, face: Face, nets: MotionNets) -> MotionCode:
    """The code of one row of a face as it looks in the RGB photo (H, W, 3): what drives a face that keeps still.

    Raises FaceError where the landmark net finds no face there.
    """
    five = nets.aligner().five_points(pixels, face.landmarks)
    if five is None:
        raise FaceError(
            "the landmark net sees no face in face {id} of the photo: align by the mesh, or use another photo",
            id=face.id,
        )
    scale = float(np.hypot(*five_point_matrix(five)[:, 0]))
    if scale < _SMALLEST_SCALE:
        size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
        ratio = np.array(size) / np.array(pixels.shape[1::-1])
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
        five = (five + 0.5) * ratio - 0.5
    crops = CropBatcher(nets)
    crops.add(_crop(pixels, five, mirror=False))
    return MotionCode.from_features(crops.features(), np.ones(1, np.bool_))


@dataclass(frozen=True, eq=False)
class _Rows:
    """Landmarks (T, 478, 3) and in which rows the face was seen (T,)."""

    landmarks: NDArray[np.float32]
    valid: NDArray[np.bool_]

    def mesh(self, row: int, native_time: float) -> NDArray[np.float32] | None:
        """Landmarks of the frame that row shows and that was taken at `native_time`; None where the face was not
        seen."""
        if not self.valid[row]:
            return None
        last = len(self.landmarks) - 1
        before = min(max(int(np.floor(native_time)), 0), last)
        after, share = min(before + 1, last), np.float32(np.clip(native_time - before, 0, 1))
        return np.asarray(self.landmarks[before] + (self.landmarks[after] - self.landmarks[before]) * share)


def _encode(
    frames: Iterable[TimedPixels],
    rows: _Rows,
    nets: MotionNets,
    mirror: bool,
    progress: Callable[[int, int], None] | None,
    cancel: CancelToken | None,
) -> MotionCode:
    """Every frame aligned, cropped and encoded; a frame that shows twice is the same array and is read once."""
    aligner, crops, total = nets.aligner(), CropBatcher(nets), len(rows.valid)
    places: list[int] = []
    last: Pixels | None = None
    for native_time, pixels in frames:
        if cancel is not None:
            cancel.check()
        row = len(places)
        if row == total:
            raise _wrong_count(total, f"more than {total}")
        if pixels is last:
            places.append(places[-1])
        else:
            five = aligner.five_points(pixels, rows.mesh(row, native_time))
            places.append(-1 if five is None else crops.add(_crop(pixels, five, mirror)))
        last = pixels
        if progress is not None:
            progress(row + 1, total)
    if len(places) != total:
        raise _wrong_count(total, str(len(places)))
    return _filled(crops.features(), np.array(places))


def _crop(pixels: Pixels, five: NDArray[np.float64], mirror: bool) -> NDArray[np.float32]:
    """The encoder's input (3, 224, 224), of the frame or of its mirror image."""
    if mirror:
        pixels, five = np.ascontiguousarray(pixels[:, ::-1]), mirrored_five(five, pixels.shape[1])
    return encoder_input(face_crop(pixels, five_point_matrix(five)))


def _filled(features: NDArray[np.float32], places: NDArray[np.int64]) -> MotionCode:
    """A row for each of `places` (T,): where it is -1, between its neighbours, in proportion to their distance."""
    seen = np.nonzero(places >= 0)[0]
    if not len(seen):
        raise FaceError(
            "the chosen face is lost in every frame of its clip: use one where it is seen from the front or half side"
        )
    every = np.arange(len(places))
    after = seen[np.clip(np.searchsorted(seen, every), 0, len(seen) - 1)]
    before = seen[np.clip(np.searchsorted(seen, every, side="right") - 1, 0, len(seen) - 1)]
    share = np.clip((every - before) / np.maximum(after - before, 1), 0, 1).astype(np.float32)[:, None]
    first, second = features[places[before]], features[places[after]]
    return MotionCode.from_features(first + (second - first) * share, places >= 0)


def _sized(frames: Iterable[TimedPixels], size: tuple[int, int]) -> Iterator[TimedPixels]:
    """The same frames; ValueError at the first that has not the size (width, height) of the track's."""
    for native_time, pixels in frames:
        if pixels.shape[1::-1] != size:
            raise ValueError(f"a frame is {pixels.shape[1]} x {pixels.shape[0]}, but the track was measured at {size}")
        yield native_time, pixels


def _wrong_count(rows: int, frames: str) -> MediaError:
    return MediaError(
        "the clip gives {frames} frames, but its track has {rows} rows: the file changed since it was tracked, "
        "run it again",
        frames=frames,
        rows=rows,
    )
