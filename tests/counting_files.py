"""File objects that count what is read from them for a digest."""

from collections import Counter
from pathlib import Path
from typing import BinaryIO

import pytest

from fantasyportrait.core import digests, files


class CountingFile:
    """An open file that adds the bytes read from it to a counter, by its path."""

    def __init__(self, file: BinaryIO, counter: Counter[Path]) -> None:
        self._file, self._counter = file, counter

    def read(self, size: int) -> bytes:
        """As the file's own."""
        data = self._file.read(size)
        self._counter[Path(self._file.name).resolve()] += len(data)
        return data


def count_bytes_hashed(monkeypatch: pytest.MonkeyPatch) -> Counter[Path]:
    """From now on, how many bytes of each file are read for a digest, by its resolved path."""
    counter: Counter[Path] = Counter()
    read_sha256 = files.read_sha256
    for module in (files, digests):
        monkeypatch.setattr(module, "read_sha256", lambda file: read_sha256(CountingFile(file, counter)))  # type: ignore[arg-type]
    return counter
