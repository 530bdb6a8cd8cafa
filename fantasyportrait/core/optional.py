"""Optional packages are imported here, late, with a sentence that says how to get them."""

import importlib
import importlib.util
from types import ModuleType

from fantasyportrait.core.errors import DependencyError


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
    return DependencyError(
        f"{purpose} needs the package {module.split('.')[0]}, which is not installed: "
        f'run  pip install "fantasyportrait[{extra}]"'
    )
