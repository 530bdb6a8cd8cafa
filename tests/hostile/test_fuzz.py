"""Damaged files of every kind are read or refused in one sentence, and leave nothing behind."""

import json
import random
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from fantasyportrait.core.errors import MediaError
from fantasyportrait.core.limits import PUBLIC
from fantasyportrait.media.decoder import Decoder, LocalDecoder
from fantasyportrait.sandbox.decoder import SandboxDecoder
from tests.hostile.fuzz import Report, read, recording_server
from tests.hostile.mutations import MUTATIONS, mutate
from tests.hostile.seeds import seeds


@pytest.mark.parametrize(("count", "options"), [(300, ()), (200, ("--local",))])
def test_damaged_files(count: int, options: tuple[str, ...], tmp_path: Path, repository: Path) -> None:
    """In a process of its own: a child's peak memory begins with that of the process that forked it."""
    made = tmp_path / "report.json"
    command = [sys.executable, "-m", "tests.hostile.fuzz", "--count", str(count), "--seed", "7", "--report", str(made)]
    done = subprocess.run([*command, *options], cwd=repository, capture_output=True, text=True)
    assert made.exists(), done.stderr
    report = Report(**json.loads(made.read_text()))
    assert report.faults == [] and report.requests == [] and report.left == []
    assert report.files == count == report.read + report.refused
    assert report.read > count / 10 and report.refused > count / 4
    assert report.peak_mib < 1536


def test_whole_seeds_are_read_unless_they_lead_elsewhere(tmp_path: Path) -> None:
    """The seeds are valid, so that files are refused for their damage only."""
    elsewhere = {"m3u8", "mpd", "ffconcat", "sdp", "svg", "pls", "asx"}
    refused = []
    with recording_server() as (address, asked):
        for number, (kind, suffix, content) in enumerate(seeds(address)):
            path = tmp_path / f"{number}.{suffix}"
            path.write_bytes(content)
            try:
                read(LocalDecoder(PUBLIC), kind, path)
            except MediaError as error:
                refused.append((suffix, suffix in elsewhere or b"127.0.0.1" in content, str(error)))
    assert asked == []
    assert elsewhere <= {suffix for suffix, _, _ in refused}
    assert [entry for entry in refused if not entry[1] and entry[0] not in ("y4m", "wmv")] == []
    codecs = [text for suffix, _, text in refused if suffix in ("y4m", "wmv")]
    assert all("is encoded as" in text and "convert it to MP4 (H.264)" in text for text in codecs)


@pytest.mark.parametrize("sandbox", [False, True])
def test_the_counter_counts_and_no_decoder_asks_it(tmp_path: Path, sandbox: bool) -> None:
    import urllib.error
    import urllib.request

    decoder: Decoder = SandboxDecoder(PUBLIC) if sandbox else LocalDecoder(PUBLIC)
    with recording_server() as (address, asked):
        for kind, suffix, content in seeds(address):
            if address.encode() in content:
                (tmp_path / f"a.{suffix}").write_bytes(content)
                with suppress(MediaError):
                    read(decoder, kind, tmp_path / f"a.{suffix}")
                    assert suffix == "mov"  # its own bytes are read in the place of those at the address
        assert asked == []
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(f"{address}/here")
        assert asked == ["/here"]
    if isinstance(decoder, SandboxDecoder):
        decoder.close()


def test_seed_is_reproducible_and_mutations_change_files() -> None:
    data, others = bytes(range(256)) * 20, [b"other" * 300]
    assert mutate(data, random.Random("1:5"), others) == mutate(data, random.Random("1:5"), others)
    assert len({mutate(data, random.Random(f"1:{number}"), others) for number in range(100)}) == 100
    for mutation in set(MUTATIONS):
        changed = [bytes(mutation(bytearray(data), random.Random(number), others)) for number in range(20)]
        assert sum(other != data for other in changed) >= 19, mutation
