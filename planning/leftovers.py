"""Removes temporary files that a killed run left behind."""

from __future__ import annotations

import os
import re
from pathlib import Path

_TEMPORARY = re.compile(r"\.tmp(\d+)_")
"""As `reactkd_auto.jsonio.atomic_path` names them: the writing process' id, then the file's name."""


def remove_leftovers(*folders: Path) -> None:
    """Remove temporary files in these folders whose process on this machine has ended."""
    for folder in folders:
        for path in folder.glob(".tmp*"):
            match = _TEMPORARY.match(path.name)
            if match and not _runs(int(match.group(1))):
                path.unlink(missing_ok=True)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True
