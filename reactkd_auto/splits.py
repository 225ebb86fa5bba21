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

    def training_cases(self, *without: int) -> list[str]:
        """Cases that a model trained without these folds may learn from."""
        self._check(without)
        return sorted(c for c, f in self.assignment.items() if f not in without)

    def held_out_cases(self, *folds: int) -> list[str]:
        """Cases that these folds keep apart."""
        self._check(folds)
        return sorted(c for c, f in self.assignment.items() if f in folds)

    def _check(self, folds: tuple[int, ...]) -> None:
        for fold in folds:
            if not 0 <= fold < self.folds:
                raise UserError(f"fold {fold}: expected 0…{self.folds - 1}, or all.")


def read_splits(folder: Path) -> Splits:
    """Read ``splits.json``."""
    return read_document(Splits, Path(folder) / "splits.json")


def write_splits(folder: Path, splits: Splits) -> None:
    """Write ``splits.json``."""
    write_json(Path(folder) / "splits.json", splits)
