"""The decoder for untrusted files: child processes decode, and their answers are checked here."""

import os
import re
import sys
import weakref
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import fields
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar, cast, get_args

import numpy as np

from fantasyportrait.core.errors import DependencyError, FantasyPortraitError, MediaError, RequestError
from fantasyportrait.core.files import file_sha256
from fantasyportrait.core.limits import PUBLIC, Limits
from fantasyportrait.core.sentences import decode, with_values
from fantasyportrait.images.images import Photo
from fantasyportrait.images.input_checks import check_file
from fantasyportrait.images.input_file import open_file
from fantasyportrait.media.clip_info import ClipInfo
from fantasyportrait.media.clips import LOOKAHEAD_LIMIT_S, MAX_RATE_DENOMINATOR, Pixels
from fantasyportrait.media.remux import MAX_RECORDING_BYTES, Container
from fantasyportrait.media.sound import Block
from fantasyportrait.sandbox.channel import Payload, can_send_files
from fantasyportrait.sandbox.decoder_process import DecoderLost, DecoderProcess
from fantasyportrait.sandbox.pool import DecoderPool

_ERRORS: dict[str, type[FantasyPortraitError]] = {
    error.__name__: error for error in (MediaError, RequestError, DependencyError)
}
_LONGEST_TEXT = 4000
_LOUDEST = 1e9
# What a new container may take in addition to the packets.
_CONTAINER_BYTES = 32 << 20
When = TypeVar("When")


class SandboxDecoder:
    """A `Decoder` with the results of `LocalDecoder`, computed in child processes.

    A file that crashes its child, hangs or wants too much memory is one MediaError; the next file gets another child.
    `close` ends the children; so does the end of the program.
    """

    def __init__(self, limits: Limits = PUBLIC, pool: DecoderPool | None = None) -> None:
        self._limits = limits
        self._pool = pool or DecoderPool(limits)
        self._closing = weakref.finalize(self, self._pool.close)

    @property
    def limits(self) -> Limits:
        """The limits above which a file is refused."""
        return self._limits

    def close(self) -> None:
        """End the children; safe to call twice."""
        self._closing()

    def photo(self, path: Path) -> Photo:
        """See `Decoder`."""
        with self._child(path, "photo") as (child, descriptor):
            answer = child.call({"do": "photo", "path": str(path)}, descriptor)
            _raise(answer, child)
            values = child.array(answer.get("shape"), self._limits.pixels, (3, 4))
            pixels, alpha = np.ascontiguousarray(values[..., :3]), values[..., 3] if values.shape[2] == 4 else None
            # Computed here, of the file that was decoded, since the child is not trusted.
            digest = file_sha256(path) if descriptor is None else _sha256(descriptor)
            return Photo(pixels, _texts(answer.get("messages"), child), digest, alpha)

    def probe(self, path: Path) -> ClipInfo:
        """See `Decoder`."""
        with self._answer(path, "probe") as (answer, child):
            return _clip_info(path, answer, child, self._limits.pixels)

    def native_rate(self, path: Path) -> tuple[Fraction, bool] | None:
        """See `Decoder`."""
        with self._answer(path, "native_rate") as (answer, child):
            if "rate" in answer and answer["rate"] is None:
                return None
            rate, steady = _fraction(answer.get("rate"), child), answer.get("steady")
            if rate <= 0 or rate.denominator > MAX_RATE_DENOMINATOR or type(steady) is not bool:
                raise child.invalid_answer()
            return rate, steady

    def sound_length_s(self, path: Path) -> Fraction:
        """See `Decoder`."""
        with self._answer(path, "sound_length_s") as (answer, child):
            length_s = _fraction(answer.get("length_s"), child)
            if length_s < 0:
                raise child.invalid_answer()
            return length_s

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
        with closing(self._pictures(path, request, damage, _native_time)) as pictures:
            yield from pictures

    def native_frames(
        self,
        path: Path,
        after: Fraction | None = None,
        max_rate: Fraction | None = None,
        max_side: int | None = None,
        damage: list[str] | None = None,
    ) -> Generator[tuple[Fraction, Fraction, Pixels], None, None]:
        """See `Decoder`."""
        span = {
            name: None if value is None else str(value) for name, value in (("after", after), ("max_rate", max_rate))
        }
        request = {"do": "native_frames", "path": str(path), "max_side": max_side, **span}
        before = after

        def shown(answer: Payload, child: DecoderProcess) -> tuple[Fraction, Fraction]:
            nonlocal before
            begin, end = _fraction(answer.get("begin"), child), _fraction(answer.get("end_s"), child)
            late = (
                max_rate is not None and before is not None and begin <= before
            )  # otherwise it could continue for ever
            if late or begin > self._limits.clip_length_s + LOOKAHEAD_LIMIT_S:
                raise child.invalid_answer()
            before = begin
            return begin, end

        with closing(self._pictures(path, request, damage, shown)) as pictures:
            yield from ((begin, end, pixels) for (begin, end), pixels in pictures)

    def _pictures(
        self, path: Path, request: Payload, damage: list[str] | None, shown: Callable[[Payload, DecoderProcess], When]
    ) -> Generator[tuple[When, Pixels], None, None]:
        """Yield `shown` of each answer with its picture; an answer may repeat the last picture."""
        last: Pixels | None = None
        with self._child(path, stream=True) as (child, descriptor):
            for answer in _answers(child, request, descriptor):
                if damage is not None:
                    damage.extend(_texts(answer.get("damage", []), child))
                if "shape" not in answer:
                    continue
                if answer["shape"] is not None or last is None:
                    last = child.array(answer["shape"], self._limits.pixels)
                yield shown(answer, child), last

    def sound(self, path: Path, start_s: Fraction = Fraction(0)) -> Generator[Block, None, None]:
        """See `Decoder`."""
        request = {"do": "sound", "path": str(path), "start_s": str(start_s)}
        with self._child(path, stream=True) as (child, descriptor):
            for answer in _answers(child, request, descriptor):
                if "samples" in answer:
                    samples = child.samples(answer["samples"])
                    if not np.abs(samples).max(initial=0) <= _LOUDEST:  # also where one is not a number
                        raise child.invalid_answer()
                    yield samples

    def metadata(self, path: Path) -> dict[str, str]:
        """See `Decoder`."""
        with self._answer(path, "metadata") as (answer, child):
            texts = answer.get("texts")
            if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values()):
                raise child.invalid_answer()
            return texts

    def remux(self, path: Path) -> Generator[tuple[Container, bytes], None, None]:
        """See `Decoder`."""
        spare = MAX_RECORDING_BYTES + _CONTAINER_BYTES
        with self._child(path, stream=True) as (child, descriptor):
            for answer in _answers(child, {"do": "remux", "path": str(path)}, descriptor):
                if "bytes" in answer:
                    kind, piece = _container(answer.get("kind"), child), child.piece(answer["bytes"])
                    spare -= len(piece)
                    if (
                        kind not in get_args(Container) or not piece or spare < 0
                    ):  # otherwise it could continue for ever
                        raise child.invalid_answer()
                    yield kind, piece

    @contextmanager
    def _answer(self, path: Path, act: str) -> Iterator[tuple[Payload, DecoderProcess]]:
        """Return the child's single answer to a request about a clip or sound."""
        with self._child(path) as (child, descriptor):
            answer = child.call({"do": act, "path": str(path)}, descriptor)
            _raise(answer, child)
            yield answer, child

    @contextmanager
    def _child(
        self, path: Path, what: str = "clip or sound", stream: bool = False
    ) -> Iterator[tuple[DecoderProcess, int | None]]:
        """A decoder process and the open file; the loss of the process becomes one MediaError."""
        lost = False
        check_file(path, what)
        with open_file(path) as file:
            child = self._pool.acquire(stream)
            try:
                yield child, file.fileno() if can_send_files() else None
            except DecoderLost as error:
                lost = True
                raise MediaError(
                    "{path} cannot be read safely: what decodes it {error}; convert it, or make it smaller",
                    path=path,
                    error=error,
                ) from error
            finally:
                self._pool.release(child, stream, lost or not _closed(child))


def _closed(child: DecoderProcess) -> bool:
    """Whether the child has closed its file."""
    try:
        child.call({"do": "close"})
    except DecoderLost:
        return False
    return True


def _answers(child: DecoderProcess, request: Payload, descriptor: int | None) -> Iterator[Payload]:
    """Yield the answers to a request, up to the last."""
    _raise(child.call(request, descriptor), child)
    while True:
        answer = child.call({"do": "next"})
        _raise(answer, child)
        yield answer
        if "end" in answer:
            return


def _raise(answer: Payload, child: DecoderProcess) -> None:
    """Raise the error of an answer, one of a few types."""
    error = answer.get("error")
    if error is None:
        return
    name, text = error if isinstance(error, list) and len(error) == 2 else (None, None)
    if name not in _ERRORS:
        raise child.invalid_answer()
    raise _ERRORS[name](_text(text, child))


def _texts(values: Any, child: DecoderProcess) -> tuple[str, ...]:
    if not isinstance(values, list):
        raise child.invalid_answer()
    return tuple(_text(value, child) for value in values)


def _text(value: Any, child: DecoderProcess) -> str:
    """A sentence of an answer; a text that is too long is cut."""
    try:
        text = decode(value)
    except ValueError as error:
        raise child.invalid_answer() from error
    if not isinstance(text, str) or len(getattr(text, "key", "")) > _LONGEST_TEXT:
        raise child.invalid_answer()
    return with_values(text, lambda part: part[:_LONGEST_TEXT])


def _container(value: Any, child: DecoderProcess) -> Container:
    if value not in get_args(Container):
        raise child.invalid_answer()
    return cast(Container, value)


def _native_time(answer: Payload, child: DecoderProcess) -> float:
    return _finite(answer.get("time"), child)


def _finite(value: Any, child: DecoderProcess) -> float:
    # A whole number of JSON may have more digits than a float can hold.
    if type(value) not in (int, float) or not abs(value) <= sys.float_info.max:
        raise child.invalid_answer()
    return float(value)


def _fraction(value: Any, child: DecoderProcess) -> Fraction:
    # Only what `str` makes of a fraction: an exponent would be a number of any length.
    if not isinstance(value, str) or not re.fullmatch("-?[0-9]{1,60}(/[0-9]{1,60})?", value):
        raise child.invalid_answer()
    whole, _, part = value.partition("/")
    if part and not int(part):
        raise child.invalid_answer()
    return Fraction(int(whole), int(part or 1))


def _clip_info(path: Path, answer: Payload, child: DecoderProcess, most_pixels: int) -> ClipInfo:
    """Read a clip's properties from an answer and check each value."""
    width, height = answer.get("width"), answer.get("height")
    has_sound, still = answer.get("has_sound"), answer.get("still")
    duration_s = _finite(answer.get("duration_s"), child)
    rate = _fraction(answer.get("rate"), child)
    sides = all(type(side) is int and 1 <= side <= most_pixels for side in (width, height))
    if not sides or rate <= 0 or duration_s < 0 or type(has_sound) is not bool or type(still) is not bool:
        raise child.invalid_answer()
    if still and (duration_s or has_sound):
        raise child.invalid_answer()
    known = {field.name for field in fields(ClipInfo)}
    if set(answer) != known:
        raise child.invalid_answer()
    messages = _texts(answer["messages"], child)
    return ClipInfo(path, width, height, rate, duration_s, has_sound, messages, still)  # type: ignore[arg-type]


def _sha256(descriptor: int) -> str:
    import hashlib

    digest, at = hashlib.sha256(), 0
    while part := os.pread(descriptor, 1 << 20, at):
        digest.update(part)
        at += len(part)
    return digest.hexdigest()
