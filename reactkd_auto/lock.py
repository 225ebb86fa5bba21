"""One process a folder: two trainings of a fold, or two plannings of a dataset, would overwrite each other."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import UserError


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold ``folder/.lock``; the system releases it however the process ends.

    Raises:
        UserError: Another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(f"{folder}: another process is at work here, expected none; wait for it.") from None
        yield
