"""Optional packages are imported here, late, with a sentence that says how to get them."""

import importlib
from types import ModuleType

from fantasyportrait.core.errors import DependencyError


def require(module: str, *, extra: str, purpose: str) -> ModuleType:
    """Import and return `module`, or raise `DependencyError` naming the extra that carries it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise DependencyError(
            f"{purpose} needs the package {module.split('.')[0]}, which is not installed: "
            f'run  pip install "fantasyportrait[{extra}]"'
        ) from error
