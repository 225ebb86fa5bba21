"""Where planning reads and writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Rooms:
    """Folders and files of one plan of one dataset."""

    raw: Path
    out: Path
    plan_file: Path
    cases: Path

    @property
    def store(self) -> Path:
        """Every case's own measurements, and registrations of its sessions, which make a second run fast."""
        return self.out / "fingerprints"
