"""Where photos, clips and sound are decoded: in this process, or in children that a hostile file cannot leave."""

from fantasyportrait.core.limits import Limits
from fantasyportrait.media.decoder import Decoder, LocalDecoder
from fantasyportrait.sandbox.decoder import SandboxDecoder


def make_decoder(limits: Limits, sandbox: bool) -> Decoder:
    """A decoder with these limits; `sandbox` starts two child processes, which end with the program."""
    return SandboxDecoder(limits) if sandbox else LocalDecoder(limits)
