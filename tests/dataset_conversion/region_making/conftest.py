"""A cohort without masks, with and without the command TotalSegmentator."""

from pathlib import Path

import pytest

from tests.dataset_conversion.region_making.maskless import write_cohort
from tests.dataset_conversion.region_making.stand_in import install


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_cohort(tmp_path)


@pytest.fixture
def without_tool(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The stand-in is installed; the file to which it writes its arguments."""
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    return install(tmp_path / "bin")
