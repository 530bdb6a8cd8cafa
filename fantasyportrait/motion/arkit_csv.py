"""The 52 ARKit blendshape curves and the head's rotation as CSV, as the app Live Link Face writes them.

A row a frame: a timecode, the number of values, 52 curves from 0 to 1, and yaw, pitch and roll of the head and of both
eyes in radians. Positive angles turn the head to the person's own left, up, and counterclockwise in the picture: all
three are the negative of `core.geometry`'s.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.atomic_write import atomic_write, output_errors
from fantasyportrait.core.errors import MediaError
from fantasyportrait.core.limits import PRIVATE, Limits
from fantasyportrait.core.sentences import Sentence
from fantasyportrait.faces.landmarks import head_pose
from fantasyportrait.faces.mesh import CanonicalFace
from fantasyportrait.media.frame_rates import STANDARD_RATES
from fantasyportrait.motion.blendshapes import BLENDSHAPE_NAMES, blendshape_indices
from fantasyportrait.motion.csv_times import TIME_COLUMNS, CurveTimes, read_times, timecode
from fantasyportrait.motion.motion_file import CURVES_SIDE, MotionFile
from fantasyportrait.motion.posed_face import CLOSED_SCORE
from fantasyportrait.schema.face import Track

_SIDES = ("Left", "Right")
_EYES = tuple(
    f"{name}{side}"
    for side in _SIDES
    for name in ("EyeBlink", "EyeLookDown", "EyeLookIn", "EyeLookOut", "EyeLookUp", "EyeSquint", "EyeWide")
)
# fmt: off
CURVES = (
    *_EYES, "JawForward", "JawRight", "JawLeft", "JawOpen", "MouthClose", "MouthFunnel", "MouthPucker", "MouthRight",
    "MouthLeft", "MouthSmileLeft", "MouthSmileRight", "MouthFrownLeft", "MouthFrownRight", "MouthDimpleLeft",
    "MouthDimpleRight", "MouthStretchLeft", "MouthStretchRight", "MouthRollLower", "MouthRollUpper", "MouthShrugLower",
    "MouthShrugUpper", "MouthPressLeft", "MouthPressRight", "MouthLowerDownLeft", "MouthLowerDownRight",
    "MouthUpperUpLeft", "MouthUpperUpRight", "BrowDownLeft", "BrowDownRight", "BrowInnerUp", "BrowOuterUpLeft",
    "BrowOuterUpRight", "CheekPuff", "CheekSquintLeft", "CheekSquintRight", "NoseSneerLeft", "NoseSneerRight",
    "TongueOut",
)
# fmt: on
"""The curves in the order of Live Link Face."""
HEAD = ("HeadPitch", "HeadYaw", "HeadRoll")
_EYE_ANGLES = tuple(f"{side}Eye{angle}" for side in _SIDES for angle in ("Yaw", "Pitch", "Roll"))
HEADER = ("Timecode", "BlendShapeCount", *CURVES, "HeadYaw", "HeadPitch", "HeadRoll", *_EYE_ANGLES)
_VALUES = len(HEADER) - 2

_BLINKS = list(blendshape_indices("eyeBlink"))
_ROWS = {name.casefold(): index for index, name in enumerate(BLENDSHAPE_NAMES) if name != "_neutral"}
_CURVE_KEYS = {name.casefold() for name in CURVES}
# Apps round and filter, so values a little outside are cut; others are another unit.
_LOWEST, _HIGHEST = -0.5, 1.5
_MOST_COLUMNS = 512


def write_arkit_csv(path: Path, track: Track, rate: Fraction, canonical: CanonicalFace) -> None:
    """Write the curves of a track whose rows are 1 / `rate` seconds apart, a whole rate; raises OutputError.

    TongueOut and the rotations of the eyes are 0: neither is measured, the gaze is in the EyeLook curves.
    """
    scores = track.blendshapes.astype(np.float64)
    scores[:, _BLINKS] = np.minimum(scores[:, _BLINKS] / CLOSED_SCORE, 1.0)
    pose = np.array([head_pose(row, canonical) for row in track.landmarks])
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    for row, (weights, angles) in enumerate(zip(scores, -np.radians(pose), strict=True)):
        curves = [float(weights[_ROWS[name.casefold()]]) if name != "TongueOut" else 0.0 for name in CURVES]
        pitch, yaw, roll = angles.tolist()
        values = (*curves, yaw, pitch, roll, *([0.0] * len(_EYE_ANGLES)))
        writer.writerow([timecode(row, rate), _VALUES, *(f"{value:.8f}" for value in values)])
    with output_errors(path), atomic_write(path) as made:
        made.write_text(text.getvalue(), encoding="utf-8", newline="")


def csv_rate(rate: Fraction) -> Fraction:
    """The whole standard rate nearest to `rate`: timecodes count whole frames a second."""
    return min((each for each in STANDARD_RATES if each.denominator == 1), key=lambda each: abs(each - rate))


def has_curves(first_line: str) -> bool:
    """Whether a line is the header of a file of curves: it names at least one of the 52."""
    names = next(csv.reader([first_line], delimiter=_delimiter(first_line)), [])
    return any(name.strip().casefold() in _CURVE_KEYS for name in names)


def read_arkit_csv(path: Path, data: bytes, limits: Limits = PRIVATE) -> MotionFile:
    """The curves in the bytes of a file; any order and case of columns, missing ones are 0. Raises MediaError."""
    try:
        return _motion(path, data.decode("utf-8-sig"), limits)
    except (ValueError, csv.Error) as error:
        text = str(error)[:200]
        raise MediaError(
            "{path} is no file of ARKit curves that can be read ({text}): export it again as CSV, with the names of "
            "the curves in its first line",
            path=path,
            text=text,
        ) from error


def _motion(path: Path, text: str, limits: Limits) -> MotionFile:
    columns, rows = _table(text, limits)
    if not rows:
        raise ValueError("it has no row of values")
    messages = list(_missing_messages(path, columns))
    times = _times(columns, rows)
    messages += [Sentence("{name}: {text}", name=path.name, text=message) for message in times.messages]
    length_s = times.length_s
    if length_s > limits.clip_length_s:
        raise ValueError(f"it lasts {float(length_s):.0f} s, and at most {limits.clip_length_s:.0f} s are used")
    kept = times.rows
    weights = np.zeros((len(kept), len(BLENDSHAPE_NAMES)), np.float32)
    cut = False
    for key, row in _ROWS.items():
        if key in columns:
            values = _numbers(columns[key], key, rows)[kept]
            if values.min() < _LOWEST or values.max() > _HIGHEST:
                raise ValueError(f"the curve {key} goes from {values.min():g} to {values.max():g}, not from 0 to 1")
            cut = cut or bool(values.min() < 0 or values.max() > 1)
            weights[:, row] = np.clip(values, 0, 1)
    if cut:
        messages.append(Sentence("{name}: values below 0 or above 1 were cut", name=path.name))
    pose = np.stack([_angles(columns, name, rows)[kept] for name in HEAD], axis=1)
    if np.abs(pose).max() > np.pi:
        messages.append(
            Sentence(
                "{name}: its head angles are over {pi:.2f} and were read as degrees, not radians",
                name=path.name,
                pi=np.pi,
            )
        )
    else:
        pose = np.degrees(pose)
    if np.abs(pose).max() > 180:
        raise ValueError(f"a head angle is {np.abs(pose).max():g}, more than a half turn")
    return MotionFile(
        path,
        1,
        (CURVES_SIDE, CURVES_SIDE),
        times.rate,
        length_s,
        times.times_s,
        weights,
        np.ones(len(kept), np.bool_),
        pose=-pose,
        messages=tuple(messages),
    )


def _table(text: str, limits: Limits) -> tuple[dict[str, int], list[list[str]]]:
    """The index of each column by its name in lower case, and the rows; raises ValueError where one is too short."""
    first = text.partition("\n")[0]
    lines: Iterator[list[str]] = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(first), strict=True)
    names = [name.strip().casefold() for name in next(lines, [])]
    if len(names) > _MOST_COLUMNS:
        raise ValueError(f"it has more than {_MOST_COLUMNS} columns")
    known = [name for name in names if name in _CURVE_KEYS]
    if not known:
        raise ValueError("its first line names none of the 52 curves, such as EyeBlinkLeft")
    twice = [name for name in known if names.count(name) > 1]
    if twice:
        raise ValueError(f"it has the column {twice[0]} twice")
    rows: list[list[str]] = []
    for line in lines:
        if not any(cell.strip() for cell in line):
            continue
        if len(line) != len(names):
            raise ValueError(f"row {len(rows) + 1} has {len(line)} values, and the first line {len(names)} names")
        rows.append(line)
        if len(rows) > limits.track_rows:
            raise ValueError(f"it has more than {limits.track_rows} rows")
    return {name: index for index, name in enumerate(names)}, rows


def _times(columns: Mapping[str, int], rows: Sequence[Sequence[str]]) -> CurveTimes:
    named = next((name for name in TIME_COLUMNS if name in columns), None)
    if named is None:
        times = read_times([], len(rows))
    else:
        times = read_times([row[columns[named]].strip() for row in rows], len(rows))
    return times


def _missing_messages(path: Path, columns: Mapping[str, int]) -> Iterator[str]:
    missing = [name for name in CURVES if name.casefold() not in columns]
    if missing:
        shown = ", ".join(missing[:4]) + (f" and {len(missing) - 4} more" if len(missing) > 4 else "")
        yield Sentence("{name} lacks {shown}: they are 0", name=path.name, shown=shown)
    head = [name for name in HEAD if name.casefold() not in columns]
    if head:
        yield Sentence("{name} lacks {names}: the head does not turn that way", name=path.name, names=", ".join(head))


def _angles(columns: Mapping[str, int], name: str, rows: Sequence[Sequence[str]]) -> NDArray[np.float64]:
    key = name.casefold()
    return _numbers(columns[key], key, rows) if key in columns else np.zeros(len(rows))


def _numbers(column: int, name: str, rows: Sequence[Sequence[str]]) -> NDArray[np.float64]:
    """The finite numbers of a column; an empty cell is 0."""
    try:
        values = np.array([float(row[column]) if row[column].strip() else 0.0 for row in rows])
    except ValueError as error:
        raise ValueError(f"the column {name} has a value that is no number") from error
    if not np.isfinite(values).all():
        raise ValueError(f"the column {name} has a value that is not finite")
    return values


def _delimiter(line: str) -> str:
    return max(",;\t", key=line.count)
