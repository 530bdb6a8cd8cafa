"""Durations of the pictures of an animated PNG, WebP or AVIF, by the file's structure: nothing is decoded."""

import struct
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from itertools import islice

from fantasyportrait.images.photo_header import iso_boxes, png_chunks, riff_chunks

# As in browsers, for a picture without a duration.
_NO_DURATION_S, _LONGEST_S = Fraction(1, 10), Fraction(60)
# Ticks per second. A millisecond and a frame at any usual rate are whole numbers of ticks; the denominators of sums of
# other fractions would grow without bound.
_TICKS = 705_600_000


def frame_durations(data: bytes, count: int) -> list[Fraction]:
    """Return the seconds of each of the `count` pictures, 0.1 where the file states none, at most 60."""
    stated: list[Fraction] = []
    with suppress(struct.error, IndexError):  # the file is cut off
        for length_s in islice(_stated(data), count):
            exact_s = Fraction(round(min(length_s, _LONGEST_S) * _TICKS), _TICKS)
            stated.append(exact_s or _NO_DURATION_S)
    return stated + [_NO_DURATION_S] * (count - len(stated))


def _stated(data: bytes) -> Iterator[Fraction]:
    if data.startswith(b"\x89PNG"):
        return _png_times(data)
    return _webp_times(data) if data.startswith(b"RIFF") else _avif_times(data)


def _png_times(data: bytes) -> Iterator[Fraction]:
    for kind, begin, _ in png_chunks(data):
        if kind == b"fcTL":
            count, per_second = struct.unpack_from(">HH", data, begin + 20)
            yield Fraction(count, per_second or 100)


def _webp_times(data: bytes) -> Iterator[Fraction]:
    for kind, begin, _ in riff_chunks(data):
        if kind == b"ANMF":
            yield Fraction(int.from_bytes(data[begin + 12 : begin + 15], "little"), 1000)


def _avif_times(data: bytes) -> Iterator[Fraction]:
    """Read the first picture track; the alpha channel's track has another handler (ISO/IEC 14496-12, 8.6.1)."""
    movie = dict(iso_boxes(data)).get(b"moov", b"")
    for media in (
        dict(iso_boxes(dict(iso_boxes(track)).get(b"mdia", b""))) for kind, track in iso_boxes(movie) if kind == b"trak"
    ):
        if media.get(b"hdlr", b"")[8:12] == b"pict":
            table = dict(iso_boxes(dict(iso_boxes(media.get(b"minf", b""))).get(b"stbl", b""))).get(b"stts", b"")
            yield from _run_lengths(table, _ticks_a_second(media.get(b"mdhd", b"")))
            return


def _ticks_a_second(header: bytes) -> int:
    (ticks,) = struct.unpack_from(">I", header, 20 if header[0] else 12)
    return int(ticks) or 1


def _run_lengths(table: bytes, ticks_a_second: int) -> Iterator[Fraction]:
    (entries,) = struct.unpack_from(">I", table, 4)
    for entry in range(entries):
        count, ticks = struct.unpack_from(">II", table, 8 + 8 * entry)
        for _ in range(count):
            yield Fraction(ticks, ticks_a_second)
