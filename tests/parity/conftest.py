"""Parity with the paper's public code: inputs and outputs of that code, and the weights it ran with, made anew.

PARITY_DIR names the folder of cases (default: ../shared/parity beside the repository), PARITY_SALT the weights' salt.
Every size comes from the files, so that further sets run without a change here.
"""

import os
from pathlib import Path

import pytest

from fantasyportrait.models.motion_adapter import MotionAdapter
from fantasyportrait.models.transformer import FantasyPortraitTransformer3DModel
from tests.parity.cases import Cases
from tests.parity.networks import adapter_of, transformer_of


@pytest.fixture(scope="session")
def cases(repository: Path) -> Cases:
    """The cases of PARITY_DIR; without that folder its tests are skipped."""
    folder = Path(os.environ.get("PARITY_DIR") or repository.parent / "shared" / "parity")
    if not (folder / "keys.json").is_file():
        if os.environ.get("PARITY_DIR"):
            pytest.fail(f"PARITY_DIR is {folder}, and there are no cases", pytrace=False)
        pytest.skip(f"no parity cases in {folder}: set PARITY_DIR")
    return Cases(folder, os.environ.get("PARITY_SALT", "a"))


@pytest.fixture(scope="session")
def adapter(cases: Cases) -> MotionAdapter:
    """The full-size motion adapter."""
    return adapter_of(cases)


@pytest.fixture(scope="session")
def transformer(cases: Cases) -> FantasyPortraitTransformer3DModel:
    """The tiny transformer."""
    return transformer_of(cases)
