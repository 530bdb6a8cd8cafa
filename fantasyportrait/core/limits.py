"""Limits on files from outside: `PRIVATE` for a user's own machine, `PUBLIC` for a server with visitors."""

from dataclasses import dataclass, replace

_MIB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """Limits on photos, clips and sound, checked before decoding or tracking.

    Attributes:
        file_bytes: size of a photo's file.
        clip_file_bytes: size of a clip's or sound's file; None for no limit.
        motion_file_bytes: size of a motion file.
        pixels: width times height of a picture, or of a frame of a clip, that is decoded whole.
        longest_side: pixels of the longest side of such a picture or frame.
        decoded_bytes: memory that a decoder holds for a picture or for the frames of a clip, at their own bit depth.
        jpeg_scans: passes of a progressive JPEG over its whole picture.
        exif_bytes: EXIF data of a photo, or comments of a GIF.
        animation_frames: pictures of an animation (GIF, APNG, WebP) that is used as a clip.
        clip_length_s: seconds of a clip that are used.
        track_rows: rows of a track: the seconds used times the frame rate.
        people: people of a clip that are tracked.
        faces: faces of a photo that are offered; None for no limit.
        formats: Pillow's names of the formats of photos.
    """

    file_bytes: int
    clip_file_bytes: int | None
    motion_file_bytes: int
    pixels: int
    longest_side: int
    decoded_bytes: int
    jpeg_scans: int
    exif_bytes: int
    animation_frames: int
    clip_length_s: float
    track_rows: int
    people: int
    faces: int | None
    formats: tuple[str, ...]


PRIVATE = Limits(
    file_bytes=256 * _MIB,
    clip_file_bytes=None,
    motion_file_bytes=256 * _MIB,
    pixels=40_000_000,
    longest_side=12_000,
    decoded_bytes=768 * _MIB,
    jpeg_scans=64,
    exif_bytes=_MIB // 8,
    animation_frames=3_000,
    clip_length_s=3600.0,
    track_rows=36_000,
    people=8,
    faces=None,
    formats=("PNG", "JPEG", "WEBP", "AVIF", "GIF", "TIFF", "BMP"),
)
# Lower limits on what costs time and memory, and no decoder with a history of vulnerabilities (TIFF, BMP).
PUBLIC = replace(
    PRIVATE,
    file_bytes=64 * _MIB,
    clip_file_bytes=200 * _MIB,
    motion_file_bytes=64 * _MIB,
    clip_length_s=600.0,
    faces=12,
    formats=("PNG", "JPEG", "WEBP", "AVIF", "GIF"),
)
