"""Parity with the paper's public code: inputs and outputs of that code, and the weights it ran with (cases/README.md).

PARITY_DIR and PARITY_SALT point the tests at another set of cases: every size is read from its files.
"""

import pytest

from fantasyportrait.models.motion_adapter import MotionAdapter
from fantasyportrait.models.transformer import FantasyPortraitTransformer3DModel
from tests.parity.cases import Cases
from tests.parity.networks import adapter_of, transformer_of


@pytest.fixture(scope="session")
def cases() -> Cases:
    """The committed cases or those of PARITY_DIR; the tests fail where one is missing."""
    return Cases.from_environment()


@pytest.fixture(scope="session")
def adapter(cases: Cases) -> MotionAdapter:
    """The full-size motion adapter."""
    return adapter_of(cases)


@pytest.fixture(scope="session")
def transformer(cases: Cases) -> FantasyPortraitTransformer3DModel:
    """The tiny transformer."""
    return transformer_of(cases)
