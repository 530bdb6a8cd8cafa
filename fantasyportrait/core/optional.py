"""Late import of optional packages, with an error that says how to install them."""

import importlib
import importlib.util
import sys
from types import ModuleType

from fantasyportrait.core.errors import DependencyError

# The packages of the diffusion engine need this Python: diffusers supports no older one.
_MIN_PYTHON = (3, 11)
_DIFFUSION_PACKAGES = frozenset(
    (
        "torch",
        "diffusers",
        "transformers",
        "accelerate",
        "safetensors",
        "peft",
        "bitsandbytes",
        "ftfy",
        "gguf",
        "torchao",
    )
)


def require(module: str, *, extra: str, purpose: str) -> ModuleType:
    """Import and return `module`, or raise `DependencyError` that names the extra to install."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise _missing(module, extra, purpose) from error


def check_installed(module: str, *, extra: str, purpose: str) -> None:
    """Raise `DependencyError` where `module` is not installed, without importing it."""
    if importlib.util.find_spec(module) is None:
        raise _missing(module, extra, purpose)


def _missing(module: str, extra: str, purpose: str) -> DependencyError:
    package = module.split(".")[0]
    needs = f"{purpose} needs the package {package}, which "
    if package in _DIFFUSION_PACKAGES and sys.version_info[:2] < _MIN_PYTHON:
        oldest, here = (".".join(map(str, version)) for version in (_MIN_PYTHON, sys.version_info[:2]))
        return DependencyError(
            "{needs}needs Python {oldest} or later: install with one, this is Python {here}",
            needs=needs,
            oldest=oldest,
            here=here,
        )
    return DependencyError(
        '{needs}is not installed: run  pip install "fantasyportrait[{extra}]"', needs=needs, extra=extra
    )
