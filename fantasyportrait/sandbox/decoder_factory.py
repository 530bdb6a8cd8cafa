"""The choice of the decoder: in this process, or in sandboxed child processes."""

from fantasyportrait.core.limits import Limits
from fantasyportrait.media.decoder import Decoder, LocalDecoder
from fantasyportrait.sandbox.decoder import SandboxDecoder


def make_decoder(limits: Limits, sandbox: bool) -> Decoder:
    """Make a decoder with these limits; `sandbox` starts two child processes, which end with the program."""
    return SandboxDecoder(limits) if sandbox else LocalDecoder(limits)
