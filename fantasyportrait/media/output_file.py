"""An output file for PyAV that raises the errors of the disk."""

from pathlib import Path


class OutputFile:
    """A file for PyAV: a short write is repeated until the disk raises its error; a closed file gets no index."""

    def __init__(self, path: Path) -> None:
        self.name = str(path.absolute())
        self._raw = path.open("w+b", buffering=0)
        self.seek, self.tell, self.read = self._raw.seek, self._raw.tell, self._raw.read

    @property
    def closed(self) -> bool:
        """Whether the file is closed."""
        return self._raw.closed

    def write(self, data: bytes) -> int:
        """Write all of `data` and return its length; raises OSError where the disk takes no more."""
        view = memoryview(data)
        while view:
            view = view[self._raw.write(view) :]
        return len(data)

    def close(self) -> None:
        """Close the file."""
        self._raw.close()
