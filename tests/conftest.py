"""Shared by all tests: where the real data lies, and one CPU thread for repeatable timing."""

import os
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
