"""What can be wrong with a file, as data (for tables) and as an exception (for one sentence)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from reactkd_auto.errors import UserError


@dataclass(frozen=True)
class Problem:
    """One row of the table of problems: which file, what was found, what was expected."""

    file: str
    found: str
    expected: str

    def __str__(self) -> str:
        return f"{self.file}: found {self.found}, expected {self.expected}."


class ImageFault(UserError):
    """A `UserError` about one file that keeps its parts.

    Attributes:
        problem: File, what was found, what was expected.
    """

    def __init__(self, path: Path, found: str, expected: str) -> None:
        self.problem = Problem(str(path), found, expected)
        super().__init__(str(self.problem))
