"""Motion files in JSON: the track of one person with landmarks, blendshapes and pose. See docs/motion-files.md.

Arrays are objects with dtype, shape and base64 of their little-endian bytes, so that they come back bit for bit.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.atomic_write import atomic_write, output_errors
from fantasyportrait.core.errors import MediaError
from fantasyportrait.core.limits import PRIVATE, Limits
from fantasyportrait.faces.landmarks import head_pose
from fantasyportrait.faces.mesh import CanonicalFace
from fantasyportrait.motion.blendshapes import BLENDSHAPE_NAMES
from fantasyportrait.motion.motion_file import MotionFile
from fantasyportrait.schema.cast import MAX_FACE_ID
from fantasyportrait.schema.face import NUM_LANDMARKS, Track
from fantasyportrait.schema.timeline import MAX_RATE, MIN_RATE

FORMAT, VERSION = "fantasyportrait.motion", 1
# A motion file has few objects and lists: more of them are an attempt to fill the memory.
_MOST_BRACKETS, _MOST_COMMAS = 64, 512
_FAR_PX = 1e5
# Lines of every face in 3D (forehead to chin, cheek to cheek), as a share of the longer side of its box.
_LINES, _SHORTEST_LINE = ((10, 152), (234, 454)), 0.15
_REQUIRED = (
    *("format", "version", "rate", "frames", "size", "person", "blendshape_names"),
    *("valid", "boxes", "landmarks", "blendshapes", "pose"),
)
_DTYPES = {"float32": "<f4", "uint8": "u1"}
Shape = tuple[int, ...]


def write_motion_json(path: Path, track: Track, rate: Fraction, canonical: CanonicalFace) -> None:
    """Write the track, whose rows are 1 / `rate` seconds apart; whole or not at all. Raises OutputError."""
    pose = np.array([head_pose(row, canonical) for row in track.landmarks], np.float32)
    data: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "rate": str(rate),
        "frames": len(track),
        "size": list(track.size),
        "person": track.person,
        "blendshape_names": list(BLENDSHAPE_NAMES),
        "valid": _packed(track.valid.astype(np.uint8)),
        "boxes": _packed(track.boxes),
        "landmarks": _packed(track.landmarks),
        "blendshapes": _packed(track.blendshapes),
        "pose": _packed(pose),
    }
    with output_errors(path), atomic_write(path) as made:
        made.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


def read_motion_json(path: Path, data: bytes, limits: Limits = PRIVATE) -> MotionFile:
    """The motion in the bytes of a file. Raises MediaError for anything that `write_motion_json` would not write."""
    try:
        return _motion(path, _parsed(data), limits)
    except (ValueError, RecursionError) as error:
        text = str(error)[:200]
        raise MediaError(
            "{path} is no motion file that can be read ({text}): export it again with  fantasyportrait motions export",
            path=path,
            text=text,
        ) from error


def _parsed(data: bytes) -> dict[str, Any]:
    if data.count(b"[") + data.count(b"{") > _MOST_BRACKETS or data.count(b",") > _MOST_COMMAS:
        raise ValueError("it holds more values than a motion has")
    read = json.loads(data, parse_constant=_refuse_constant)
    if not isinstance(read, dict):
        raise ValueError("it is no object")
    if read.get("format") != FORMAT:
        raise ValueError(f"its format is not {FORMAT!r}")
    if type(read.get("version")) is not int or read["version"] != VERSION:
        raise ValueError(f"it has version {str(read.get('version'))[:20]}, and this program reads {VERSION}")
    _check_keys(read, _REQUIRED)
    return read


def _motion(path: Path, data: Mapping[str, Any], limits: Limits) -> MotionFile:
    rate, frames = _rate(data["rate"]), _whole("frames", data["frames"], limits.track_rows)
    if frames / rate > limits.clip_length_s:
        raise ValueError(f"it lasts {float(frames / rate):.0f} s, and at most {limits.clip_length_s:.0f} s are used")
    if data["blendshape_names"] != list(BLENDSHAPE_NAMES):
        raise ValueError("blendshape_names are not the 52 names in their order")
    size = data["size"]
    if not isinstance(size, list) or len(size) != 2:
        raise ValueError("size is not [width, height]")
    width, height = (_whole("size", side, limits.longest_side) for side in size)
    landmarks = _landmarks(data["landmarks"], frames)
    valid = _array("valid", data["valid"], (frames,), "uint8")
    if valid.max() > 1 or not valid.any():
        raise ValueError("valid is not 0 or 1 with a 1 for at least one row")
    # For other programs: here they follow from the landmarks.
    _array("boxes", data["boxes"], (frames, 4))
    _array("pose", data["pose"], (frames, 3))
    return MotionFile(
        path,
        _whole("person", data["person"], MAX_FACE_ID),
        (width, height),
        rate,
        frames / rate,
        np.arange(frames) / float(rate),
        _scores(data["blendshapes"], frames),
        valid.astype(np.bool_),
        landmarks,
    )


def _packed(array: NDArray[Any]) -> dict[str, Any]:
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    data = base64.b64encode(little.tobytes()).decode("ascii")
    return {"dtype": array.dtype.name, "shape": list(array.shape), "data": data}


def _array(name: str, data: object, shape: Shape, dtype: str = "float32") -> NDArray[Any]:
    """The array of an object; raises ValueError unless it has this dtype and shape and is finite."""
    if not isinstance(data, dict):
        raise ValueError(f"{name} is no object")
    _check_keys(data, ("dtype", "shape", "data"), f"{name}.")
    if data["dtype"] != dtype or data["shape"] != list(shape):
        raise ValueError(f"{name} is not {dtype} of shape {list(shape)}")
    if not isinstance(data["data"], str):
        raise ValueError(f"{name}.data is no text")
    raw = base64.b64decode(data["data"], validate=True)
    if len(raw) != np.dtype(dtype).itemsize * int(np.prod(shape)):
        raise ValueError(f"{name} has {len(raw)} bytes, not those of its shape")
    array: NDArray[Any] = np.frombuffer(raw, _DTYPES[dtype]).reshape(shape).astype(dtype)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} has a value that is not finite")
    return array


def _landmarks(data: object, frames: int) -> NDArray[np.float32]:
    """Landmarks (T, 478, 3) in pixels that could be those of a face."""
    points = _array("landmarks", data, (frames, NUM_LANDMARKS, 3))
    if np.abs(points).max() > _FAR_PX:
        raise ValueError(f"landmarks has a point that is more than {_FAR_PX:.0f} px away")
    side = np.ptp(points[..., :2], axis=1).max(axis=1)
    lines = [np.linalg.norm(points[:, a] - points[:, b], axis=1) for a, b in _LINES]
    if side.min() < 1 or any((line < _SHORTEST_LINE * side).any() for line in lines):
        raise ValueError("landmarks has a row that is no face")
    return points


def _scores(data: object, frames: int) -> NDArray[np.float32]:
    scores = _array("blendshapes", data, (frames, len(BLENDSHAPE_NAMES)))
    if scores.min() < 0 or scores.max() > 1:
        raise ValueError("blendshapes has a score outside of 0 to 1")
    return scores


def _rate(value: object) -> Fraction:
    """Frames a second from text such as "25" or "30000/1001"."""
    whole, slash, part = value.partition("/") if isinstance(value, str) else ("", "", "")
    digits = [each for each in (whole, part if slash else "1") if each.isascii() and each.isdigit() and len(each) < 12]
    if len(digits) != 2 or not int(digits[1]):
        raise ValueError('rate is no fraction such as "30000/1001"')
    rate = Fraction(int(digits[0]), int(digits[1]))
    if not MIN_RATE <= rate <= MAX_RATE:
        raise ValueError(f"rate is {float(rate):g}, not from {MIN_RATE} to {MAX_RATE}")
    return rate


def _whole(name: str, value: object, most: int) -> int:
    if type(value) is not int or not 1 <= value <= most:
        raise ValueError(f"{name} is {str(value)[:20]}, not a whole number from 1 to {most}")
    return value


def _check_keys(data: Mapping[str, Any], required: Sequence[str], of: str = "") -> None:
    missing = [key for key in required if key not in data]
    unknown = [str(key)[:40] for key in data if key not in required]
    if missing or unknown:
        raise ValueError(f"{of}{missing[0]} is missing" if missing else f"{of}{unknown[0]} is not known")


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")
