"""A file for PyAV to write, whose errors are the disk's."""

from pathlib import Path


class OutputFile:
    """A file for PyAV to write: a short write goes on until the disk says why, and a closed file gets no index."""

    def __init__(self, path: Path) -> None:
        self.name = str(path.absolute())
        self._raw = path.open("w+b", buffering=0)
        self.seek, self.tell, self.read = self._raw.seek, self._raw.tell, self._raw.read

    @property
    def closed(self) -> bool:
        return self._raw.closed

    def write(self, data: bytes) -> int:
        view = memoryview(data)
        while view:
            view = view[self._raw.write(view) :]
        return len(data)

    def close(self) -> None:
        self._raw.close()
