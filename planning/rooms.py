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
