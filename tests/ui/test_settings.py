"""The limits on uploads, and where uploads are decoded."""

import pytest

from fantasyportrait.core.limits import PRIVATE, PUBLIC
from fantasyportrait.sandbox.decoder import SandboxDecoder
from ui.settings import Settings


def test_settings_default_to_public_limits_on_space(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPACE_ID", raising=False)
    assert Settings().limits is PRIVATE and Settings(public=True).limits is PUBLIC
    monkeypatch.setenv("SPACE_ID", "somebody/portraits")
    assert Settings().limits is PUBLIC and Settings(public=False).limits is PRIVATE


def test_settings_decode_uploads_in_child_processes() -> None:
    upright = Settings(public=True).animator().inputs.decoder
    decoder = upright._decoder._decoder
    assert isinstance(decoder, SandboxDecoder) and upright.limits is PUBLIC
    decoder.close()
