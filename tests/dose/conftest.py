from types import ModuleType

import pytest
import torch

from tests.dose import scanner


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def tools() -> ModuleType:
    """Phantoms and an independent scanner."""
    return scanner
