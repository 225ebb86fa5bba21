"""A tree of studies and its table of labels."""

from pathlib import Path

import pytest

from tests.dataset_conversion.dicom.studies import PATIENTS, write_labels, write_tree


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "tree")


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    return write_labels(tmp_path / "labels.csv", dict(zip(PATIENTS, ("low", "high", "low", "high"), strict=True)))
