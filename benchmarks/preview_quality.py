"""How well the preview engine follows a driver, measured with the landmark network on its results.

Three tables: correlation of the result's expression with the driver's, self-reenactment (the clip's first frame
animated by the clip itself), and independence of two faces.

    python benchmarks/preview_quality.py --media DIR [--frames 250] [--json]

DIR holds driving clips (*.mp4) and the portraits woman.jpg, man.jpeg and two_person.png.
"""

import argparse
import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from fantasyportrait.faces.analyser import FaceAnalyser
from fantasyportrait.faces.clip_tracking import track_clip
from fantasyportrait.faces.face_models import FaceModels
from fantasyportrait.faces.landmarks import Crop, LandmarkNet, head_pose
from fantasyportrait.faces.mesh import CanonicalFace
from fantasyportrait.images.images import load_photo
from fantasyportrait.media.clips import read_clip
from fantasyportrait.motion.builtin import builtin_motion
from fantasyportrait.motion.from_track import motion_from_track
from fantasyportrait.preview.engine import render
from fantasyportrait.schema.driven_face import DrivenFace

RATE = Fraction(25)
SINGLE = ("biden.mp4", "trump.mp4", "expressive.mp4", "mild.mp4", "jgz.mp4")
# The correlation of a signal that hardly moves in the driver is meaningless (scores 0 to 1; degrees for yaw).
LEAST_DEVIATION = {"jaw": 0.01, "jawOpen score": 0.05, "blink": 0.05, "smile": 0.05, "yaw": 2.0, "gaze": 0.06}


@dataclass(frozen=True)
class Reader:
    """Measures signals in frames with the landmark network."""

    net: LandmarkNet
    canonical: CanonicalFace

    def signals(self, frames: list[NDArray[np.uint8]], start: NDArray[np.float32]) -> dict[str, NDArray[np.float64]]:
        """The signals of each frame; `start` are landmarks of the first."""
        crop = Crop.of_landmarks(start)
        scores, yaws, points = [], [], []
        for frame in frames:
            reading = self.net.read(frame, crop)
            crop = Crop.of_landmarks(reading.points)
            points.append(reading.points)
            scores.append(self.net.blendshapes(reading.points))
            yaws.append(head_pose(reading.points, self.canonical).yaw)
        return {**signals_of(np.array(points), np.array(scores), np.array(yaws)), "points": np.array(points)}


def signals_of(
    points: NDArray[np.float32], scores: NDArray[np.float32], yaw: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """Jaw opening (lip gap over face height) of landmarks (T, 478, 3), scores of blendshapes (T, 52), yaw (T,)."""
    gap = np.linalg.norm(points[:, [82, 13, 312]] - points[:, [87, 14, 317]], axis=2).mean(axis=1)
    height = np.linalg.norm(points[:, 10] - points[:, 2], axis=1)
    gaze = (scores[:, 13] - scores[:, 15] + scores[:, 16] - scores[:, 14]) / 2
    return {
        "jaw": gap / height,
        "jawOpen score": scores[:, 25],
        "blink": scores[:, [9, 10]].mean(axis=1),
        "smile": scores[:, [44, 45]].mean(axis=1),
        "yaw": yaw,
        "gaze": gaze,
    }


def correlations(media: Path, frames: int) -> list[dict[str, object]]:
    """One row a portrait and clip."""
    analyser, net = FaceAnalyser(), FaceModels().landmark_net()
    reader, rows = Reader(net, analyser.canonical), []
    for portrait in ("woman.jpg", "man.jpeg"):
        pixels = load_photo(media / portrait).pixels
        face = analyser.masked(pixels, analyser.find(pixels))[0]
        for clip in SINGLE:
            track = track_clip(media / clip, RATE, 0.0, frames / float(RATE))[0]
            motion = motion_from_track(track, analyser.canonical)
            result = list(render(pixels, [DrivenFace(face, motion)], len(motion), analyser.canonical))
            yaw = np.array([head_pose(row, analyser.canonical).yaw for row in motion.landmarks])
            driver, seen = signals_of(motion.landmarks, track.blendshapes, yaw), reader.signals(result, face.landmarks)
            row: dict[str, object] = {"portrait": portrait, "clip": clip}
            for name, least in LEAST_DEVIATION.items():
                moves = float(np.std(driver[name])) >= least
                row[name] = round(float(np.corrcoef(driver[name], seen[name])[0, 1]), 3) if moves else None
            agrees = np.corrcoef(driver["jawOpen score"], driver["jaw"])[0, 1]
            row["driver's score and gap"] = round(float(agrees), 3)
            rows.append(row)
    return rows


def self_reenactment(media: Path, frames: int) -> list[dict[str, object]]:
    """The first frame animated by its own clip, against the clip and against the unmoved photo."""
    analyser, net = FaceAnalyser(), FaceModels().landmark_net()
    reader, rows = Reader(net, analyser.canonical), []
    for clip in SINGLE:
        end = frames / float(RATE)
        true = list(read_clip(media / clip, RATE, 0.0, end))
        track = track_clip(media / clip, RATE, 0.0, end)[0]
        face = analyser.masked(true[0], analyser.find(true[0]))[0]
        motion = motion_from_track(track, analyser.canonical, reference=face)
        result = list(render(true[0], [DrivenFace(face, motion, absolute=True)], len(motion), analyser.canonical))
        seen = reader.signals(result, face.landmarks)["points"][:, :468, :2]
        truth = track.landmarks[:, :468, :2]
        moved = np.linalg.norm(seen - truth, axis=2).mean()
        unmoved = np.linalg.norm(face.landmarks[None, :468, :2] - truth, axis=2).mean()
        row: dict[str, object] = {"clip": clip, "landmark error share": round(float(moved / unmoved), 3)}
        left, top, right, bottom = (int(side) for side in face.box.clip(0))
        for place, area in (("", np.s_[:, :]), ("face ", np.s_[top:bottom, left:right])):
            for name, measure in (("psnr", _psnr), ("ssim", _ssim)):
                for what, frames_of in (("", result), (" unmoved", true[:1] * len(true))):
                    values = [measure(true[i][area], frames_of[i][area]) for i in range(5, len(true), 5)]
                    row[f"{place}{name}{what}"] = round(float(np.mean(values)), 4)
        rows.append(row)
    return rows


def independence(media: Path) -> dict[str, int]:
    """Count the pixels of face 1's head that change with face 2's driver, and those of a still face that change."""
    analyser = FaceAnalyser()
    pixels = load_photo(media / "two_person.png").pixels
    one, two = analyser.masked(pixels, analyser.find(pixels))
    canonical = analyser.canonical
    nod, laugh, talk = (builtin_motion(name, 25, RATE, canonical) for name in ("nod", "laugh", "talk"))
    first = render(pixels, [DrivenFace(one, talk), DrivenFace(two, nod)], 25, canonical)
    second = render(pixels, [DrivenFace(one, talk), DrivenFace(two, laugh)], 25, canonical)
    still = render(pixels, [DrivenFace(one), DrivenFace(two, laugh)], 25, canonical)
    own = (one.mask > 0) & (two.mask == 0)
    exchanged = sum(int((a != b)[own].sum()) for a, b in zip(first, second, strict=True))
    moved = sum(int((frame != pixels)[own].sum()) for frame in still)
    return {"pixels of face 1 changed by face 2's driver": exchanged, "pixels of a still face moved": moved}


def mean_of(rows: list[dict[str, object]]) -> dict[str, float]:
    """The mean of each number over the rows."""
    return {key: round(float(np.mean([row[key] for row in rows])), 4) for key in rows[0] if key != "clip"}


def _psnr(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    return float(peak_signal_noise_ratio(a, b))


def _ssim(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    return float(structural_similarity(a, b, channel_axis=2))


def main() -> None:
    """Run all three and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--media", type=Path, required=True)
    parser.add_argument("--frames", type=int, default=250)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    followed = correlations(options.media, options.frames)
    means = {}
    for name in LEAST_DEVIATION:
        values = [row[name] for row in followed if row[name] is not None]
        means[name] = round(float(np.mean(values)), 3)
    reenacted = self_reenactment(options.media, options.frames)
    report: dict[str, object] = {
        "correlation": followed,
        "mean correlation": means,
        "self-reenactment": reenacted,
        "mean self-reenactment": mean_of(reenacted),
        "independence": independence(options.media),
    }
    if options.json:
        print(json.dumps(report, indent=2))
        return
    for title, part in report.items():
        print(f"\n{title}")
        for row in part if isinstance(part, list) else [part]:
            print("  " + "  ".join(f"{key} {value}" for key, value in row.items()))


if __name__ == "__main__":
    main()
