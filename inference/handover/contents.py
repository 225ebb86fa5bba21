"""What of a model folder is handed on, and the list of its hashes that travels with it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from reactkd_auto.jsonio import file_hash
from reactkd_auto.model_folder import ModelFolder

MANIFEST = "manifest.json"
CARD = "MODEL_CARD.md"
FINGERPRINT = "fingerprint.json"
REWRITTEN = ("plan.json", FINGERPRINT)
"""Documents that name cases of the cohort: what is handed on names none."""
AS_THEY_ARE = (
    "dataset.json",
    "model.json",
    "calibration.json",
    "cross_validation/metrics.json",
    "cross_validation/thresholds.json",
)
"""Other documents, as far as the folder has them."""
ALLOWED = re.compile(
    "|".join(
        (*map(re.escape, (MANIFEST, CARD, *REWRITTEN, *AS_THEY_ARE)), r"fold_\d+/(student|localiser)\.safetensors")
    )
)
"""Every name that a handed-on model may hold: documents and safetensors; a pickle, which can run code, has no place."""


@dataclass(frozen=True)
class Entry:
    """One file of a handed-on model."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class Manifest:
    """``manifest.json``: every other file with its hash.

    Attributes:
        software: Version that wrote it.
        files: By name.
    """

    software: str
    files: dict[str, Entry]
    schema_version: int = 1


def weights(model: ModelFolder) -> dict[str, Path]:
    """Files of weights by name: student and, where there is one, localiser of every finished fold."""
    paths = [
        path
        for fold in model.choose_folds(None)
        for path in (model.student_weights(fold), model.localiser_weights(fold))
        if path.exists()
    ]
    return {str(path.relative_to(model.path)): path for path in paths}


def entry_of(path: Path) -> Entry:
    """Hash and size of a file."""
    return Entry(file_hash(path), path.stat().st_size)
