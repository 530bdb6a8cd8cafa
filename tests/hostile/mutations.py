"""Mutations that damage a file. Each takes the bytes and a random generator, and returns other bytes."""

import random
import zlib
from collections.abc import Callable, Sequence

Mutation = Callable[[bytearray, random.Random, Sequence[bytes]], bytearray]
_NUMBERS = (
    0,
    1,
    2,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0xFFFF,
    0x10000,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
    2**63 - 1,
    2**64 - 1,
)


def mutate(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """One to three mutations, one after the other; the first few bytes are mostly spared, or nothing would open it."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        changed = rng.choice(MUTATIONS)(changed, rng, others)
        if not changed:
            break
    # Without right checksums nothing but the first chunk of a PNG would ever be reached.
    return with_checksums(bytes(changed)) if rng.random() < 0.7 else bytes(changed)


def with_checksums(data: bytes) -> bytes:
    """A PNG with the checksum of every chunk made right, as far as it has chunks; other files as they are."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return data
    out, at = bytearray(data), 8
    while at + 12 <= len(out):
        end = at + 8 + int.from_bytes(out[at : at + 4], "big")
        if end + 4 > len(out):
            break
        out[end : end + 4] = zlib.crc32(out[at + 4 : end]).to_bytes(4, "big")
        at = end + 4
    return bytes(out)


def flip(data: bytearray, rng: random.Random, _: Sequence[bytes]) -> bytearray:
    """Single bits."""
    for _number in range(rng.randint(1, 24)):
        data[_place(data, rng)] ^= 1 << rng.randrange(8)
    return data


def cut(data: bytearray, rng: random.Random, _: Sequence[bytes]) -> bytearray:
    """The end is missing."""
    return data[: rng.randrange(len(data))]


def splice(data: bytearray, rng: random.Random, others: Sequence[bytes]) -> bytearray:
    """The beginning of one file and the end of another."""
    other = rng.choice(others)
    return data[: _place(data, rng)] + other[rng.randrange(len(other)) :]


def overwrite(data: bytearray, rng: random.Random, _: Sequence[bytes]) -> bytearray:
    """Numbers, such as sizes and counts, become extreme."""
    for _number in range(rng.randint(1, 4)):
        size = rng.choice((1, 2, 4, 8))
        value = rng.choice(_NUMBERS) & (1 << 8 * size) - 1
        at = _place(data, rng)
        data[at : at + size] = value.to_bytes(size, rng.choice(("big", "little")))
    return data


def junk(data: bytearray, rng: random.Random, _: Sequence[bytes]) -> bytearray:
    """A stretch of noise, or of zeros."""
    at, size = _place(data, rng), rng.randint(1, 400)
    data[at : at + size] = rng.choice((rng.randbytes(size), bytes(size)))
    return data


def repeat(data: bytearray, rng: random.Random, _: Sequence[bytes]) -> bytearray:
    """A stretch comes several times."""
    at, size = _place(data, rng), rng.randint(4, 600)
    return data[:at] + data[at : at + size] * rng.randint(2, 60) + data[at:]


def drop(data: bytearray, rng: random.Random, _: Sequence[bytes]) -> bytearray:
    """A stretch is missing."""
    at = _place(data, rng)
    return data[:at] + data[at + rng.randint(1, 300) :]


MUTATIONS: tuple[Mutation, ...] = (flip, flip, cut, splice, overwrite, overwrite, junk, repeat, drop)


def _place(data: bytearray, rng: random.Random) -> int:
    begin = 12 if len(data) > 40 and rng.random() < 0.9 else 0
    end = len(data) if rng.random() < 0.5 else min(len(data), 600)  # headers are where the sizes are
    return rng.randrange(min(begin, end - 1), end)
