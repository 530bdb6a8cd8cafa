"""Only regular files are opened, without blocking."""

import os
import socket
import stat
from pathlib import Path

import pytest

from fantasyportrait.core.files import file_sha256, open_regular


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"1\r\n2")
    with open_regular(path) as file:
        assert file.read() == b"1\r\n2" and stat.S_ISREG(os.fstat(file.fileno()).st_mode)
        assert not os.get_inheritable(file.fileno())


def test_a_folder_and_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="it is a folder, not a regular file"):
        open_regular(tmp_path)
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "none")
    with pytest.raises(OSError, match="NUL"):
        open_regular(Path("a\0b"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_pipes_sockets_and_devices_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    for path, kind in (
        (tmp_path / "pipe", "named pipe"), (tmp_path / "socket", "socket"), (Path("/dev/zero"), "device"),
        (tmp_path / "link", "named pipe"),
    ):  # fmt: skip
        with pytest.raises(OSError, match=kind):
            open_regular(path)
        with pytest.raises(OSError, match=kind):
            file_sha256(path)


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="links are not refused when opening")
def test_a_link_is_followed_where_that_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    open_regular(tmp_path / "link").close()
    with pytest.raises(OSError, match="it is a symbolic link"):
        open_regular(tmp_path / "link", follow=False)
