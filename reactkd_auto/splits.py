"""`splits.json`: which fold holds each case out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .errors import UserError
from .jsonio import content_hash, read_document, write_json


@dataclass(frozen=True)
class Splits:
    """Fold of each case; a case whose patient has no graded case is in fold −1 and always trained on."""

    seed: int
    folds: int
    assignment: dict[str, int]
    schema_version: int = 1

    @property
    def hash(self) -> str:
        """Identity of the assignment."""
        return content_hash({"folds": self.folds, "assignment": self.assignment})

    def training_cases(self, fold: int) -> list[str]:
        """Cases that a student of this fold may learn from."""
        self._check(fold)
        return sorted(c for c, f in self.assignment.items() if f != fold)

    def held_out_cases(self, fold: int) -> list[str]:
        """Cases that this fold keeps apart."""
        self._check(fold)
        return sorted(c for c, f in self.assignment.items() if f == fold)

    def _check(self, fold: int) -> None:
        if not 0 <= fold < self.folds:
            raise UserError(f"fold {fold}: expected 0…{self.folds - 1}, or all.")


def read_splits(folder: Path) -> Splits:
    """Read ``splits.json``."""
    return read_document(Splits, Path(folder) / "splits.json")


def write_splits(folder: Path, splits: Splits) -> None:
    """Write ``splits.json``."""
    write_json(Path(folder) / "splits.json", splits)
