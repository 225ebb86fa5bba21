"""Shared by all tests: where the real data lies, and one CPU thread for repeatable timing."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data; the test is skipped, with the reason, where it is absent."""
    folder = Path(os.environ.get("REACTKD_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "sts_petct").is_dir():
        pytest.skip(f"real data not found at {folder}; set REACTKD_TEST_DATA")
    return folder


@pytest.fixture(autouse=True)
def _log_level_is_not_handed_on() -> Iterator[None]:
    """A command called with ``--quiet`` quietens the package's log for the whole process."""
    logger = logging.getLogger("reactkd_auto")
    level = logger.level
    yield
    logger.setLevel(level)
