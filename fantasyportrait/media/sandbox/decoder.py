"""The decoder for files of strangers: everything is decoded in children, and what they say is checked here."""

import math
import os
import weakref
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import fields
from fractions import Fraction
from pathlib import Path
from typing import Any

from fantasyportrait.core.errors import DependencyError, FantasyPortraitError, MediaError, RequestError
from fantasyportrait.core.files import file_sha256
from fantasyportrait.media.clips import ClipInfo, Pixels
from fantasyportrait.media.images import Photo
from fantasyportrait.media.opened import open_descriptor
from fantasyportrait.media.sandbox.channel import Message, carries_files
from fantasyportrait.media.sandbox.pool import ChildPool
from fantasyportrait.media.sandbox.process import Child, ChildLost
from fantasyportrait.media.sound import Block
from fantasyportrait.schema.limits import PUBLIC, Limits

_ERRORS: dict[str, type[FantasyPortraitError]] = {
    error.__name__: error for error in (MediaError, RequestError, DependencyError)
}
_LONGEST_TEXT = 4000


class SandboxDecoder:
    """See `media.decoder.Decoder`: the same results as `LocalDecoder`, decoded in child processes.

    A file that crashes its child, hangs or wants too much memory is one MediaError; the next file gets another child.
    `close` ends the children; so does the end of the program.
    """

    def __init__(self, limits: Limits = PUBLIC, pool: ChildPool | None = None) -> None:
        self._limits = limits
        self._pool = pool or ChildPool(limits)
        self._closing = weakref.finalize(self, self._pool.close)

    @property
    def limits(self) -> Limits:
        """What is refused."""
        return self._limits

    def close(self) -> None:
        """End the children; safe to call twice."""
        self._closing()

    def photo(self, path: Path) -> Photo:
        """See `Decoder`."""
        with self._child(path) as (child, descriptor):
            answer = child.ask({"do": "photo", "path": str(path)}, descriptor)
            _raise(answer, child)
            pixels = child.array(answer.get("shape"), self._limits.pixels)
            # Of the file as it was decoded, and not by the child.
            digest = file_sha256(path) if descriptor is None else _sha256(descriptor)
            return Photo(pixels, _texts(answer.get("notes"), child), digest)

    def probe(self, path: Path) -> ClipInfo:
        """See `Decoder`."""
        with self._child(path) as (child, descriptor):
            answer = child.ask({"do": "probe", "path": str(path)}, descriptor)
            _raise(answer, child)
            return _clip_info(path, answer, child)

    def has_sound(self, path: Path) -> bool:
        """See `Decoder`."""
        with self._child(path) as (child, descriptor):
            answer = child.ask({"do": "has_sound", "path": str(path)}, descriptor)
            _raise(answer, child)
            return answer.get("has_sound") is True

    def frames(
        self,
        path: Path,
        rate: Fraction = Fraction(25),
        start_s: float = 0.0,
        end_s: float | None = None,
        max_side: int | None = None,
        damage: list[str] | None = None,
    ) -> Generator[tuple[float, Pixels], None, None]:
        """See `Decoder`."""
        span = {"rate": str(rate), "start_s": float(start_s), "end_s": None if end_s is None else float(end_s)}
        request = {"do": "frames", "path": str(path), "max_side": max_side, **span}
        last: Pixels | None = None
        with self._child(path, stream=True) as (child, descriptor):
            for answer in _answers(child, request, descriptor):
                if damage is not None:
                    damage.extend(_texts(answer.get("damage", []), child))
                if "time" not in answer:
                    continue
                if answer.get("shape") is not None or last is None:
                    last = child.array(answer.get("shape"), self._limits.pixels)
                yield _finite(answer["time"], child), last

    def sound(self, path: Path, start_s: Fraction = Fraction(0)) -> Generator[Block, None, None]:
        """See `Decoder`."""
        request = {"do": "sound", "path": str(path), "start_s": str(start_s)}
        with self._child(path, stream=True) as (child, descriptor):
            for answer in _answers(child, request, descriptor):
                if "samples" in answer:
                    yield child.samples(answer["samples"])

    @contextmanager
    def _child(self, path: Path, stream: bool = False) -> Iterator[tuple[Child, int | None]]:
        """A child and the open file; what the child ends with becomes one sentence."""
        descriptor = open_descriptor(path)
        lost = False
        try:
            child = self._pool.take(stream)
            try:
                yield child, descriptor if carries_files() else None
            except ChildLost as error:
                lost = True
                raise MediaError(
                    f"{path} cannot be read safely: what decodes it {error}; convert it, or make it smaller"
                ) from error
            finally:
                self._pool.give_back(child, lost or not _closed(child))
        finally:
            os.close(descriptor)


def _closed(child: Child) -> bool:
    """Whether the child has let go of its file."""
    try:
        child.ask({"do": "close"})
    except ChildLost:
        return False
    return True


def _answers(child: Child, request: Message, descriptor: int | None) -> Iterator[Message]:
    """The answers to a request that has many, up to the end."""
    _raise(child.ask(request, descriptor), child)
    while True:
        answer = child.ask({"do": "next"})
        _raise(answer, child)
        yield answer
        if "end" in answer:
            return


def _raise(answer: Message, child: Child) -> None:
    """Raise the error that an answer carries, one of a few kinds."""
    error = answer.get("error")
    if error is None:
        return
    name, text = error if isinstance(error, list) and len(error) == 2 else (None, None)
    if name not in _ERRORS or not isinstance(text, str):
        raise child.distrust()
    raise _ERRORS[name](text[:_LONGEST_TEXT])


def _texts(values: Any, child: Child) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise child.distrust()
    return tuple(value[:_LONGEST_TEXT] for value in values)


def _finite(value: Any, child: Child) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise child.distrust()
    return float(value)


def _clip_info(path: Path, answer: Message, child: Child) -> ClipInfo:
    """What a child says of a clip, where each value is possible."""
    width, height, has_sound = (answer.get(name) for name in ("width", "height", "has_sound"))
    duration_s = _finite(answer.get("duration_s"), child)
    try:
        rate = Fraction(str(answer.get("rate"))[:80])
    except (ValueError, ZeroDivisionError):
        raise child.distrust() from None
    sides = all(type(side) is int and side >= 1 for side in (width, height))
    if not sides or rate <= 0 or duration_s < 0 or type(has_sound) is not bool:
        raise child.distrust()
    known = {field.name for field in fields(ClipInfo)}
    if set(answer) != known:
        raise child.distrust()
    return ClipInfo(path, width, height, rate, duration_s, has_sound, _texts(answer["notes"], child))  # type: ignore[arg-type]


def _sha256(descriptor: int) -> str:
    import hashlib

    digest, at = hashlib.sha256(), 0
    while part := os.pread(descriptor, 1 << 20, at):
        digest.update(part)
        at += len(part)
    return digest.hexdigest()
