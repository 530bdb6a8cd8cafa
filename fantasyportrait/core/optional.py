"""Optional packages are imported here, late, with a sentence that says how to get them."""

import importlib
import importlib.util
import sys
from types import MappingProxyType, ModuleType

from fantasyportrait.core.errors import DependencyError

# diffusers cannot be installed on an older Python.
_OLDEST_PYTHON = MappingProxyType({"wan": (3, 11), "gguf": (3, 11), "int8": (3, 11)})


def require(module: str, *, extra: str, purpose: str) -> ModuleType:
    """Import and return `module`, or raise `DependencyError` naming the extra that carries it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise _missing(module, extra, purpose) from error


def check_installed(module: str, *, extra: str, purpose: str) -> None:
    """Raise `DependencyError` where `module` is not installed, without importing it."""
    if importlib.util.find_spec(module) is None:
        raise _missing(module, extra, purpose)


def _missing(module: str, extra: str, purpose: str) -> DependencyError:
    needs = f"{purpose} needs the package {module.split('.')[0]}, which "
    oldest = _OLDEST_PYTHON.get(extra, (0, 0))
    if sys.version_info[:2] < oldest:
        version, here = (".".join(map(str, numbers)) for numbers in (oldest, sys.version_info[:2]))
        return DependencyError(f"{needs}needs Python {version} or later: install with one, this is Python {here}")
    return DependencyError(f'{needs}is not installed: run  pip install "fantasyportrait[{extra}]"')
