"""Who decides what visitors may upload, and where it is decoded."""

import pytest

from fantasyportrait.core.limits import PRIVATE, PUBLIC
from fantasyportrait.sandbox.decoder import SandboxDecoder
from ui.settings import Settings


def test_limits_are_public_on_a_space_unless_the_flag_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPACE_ID", raising=False)
    assert Settings().limits is PRIVATE and Settings(public=True).limits is PUBLIC
    monkeypatch.setenv("SPACE_ID", "somebody/portraits")
    assert Settings().limits is PUBLIC and Settings(public=False).limits is PRIVATE


def test_what_visitors_bring_is_decoded_in_children() -> None:
    upright = Settings(public=True).animator().inputs.decoder
    decoder = upright._decoder
    assert isinstance(decoder, SandboxDecoder) and upright.limits is PUBLIC
    decoder.close()
