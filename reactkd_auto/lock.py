"""One process a folder: two trainings of a fold, or two plannings of a dataset, would overwrite each other."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from .errors import UserError
from .jsonio import TEMPORARY, make_folder


class Busy(UserError):
    """Another process is at work in a folder."""


@contextmanager
def locked(folder: Path, *rooms: str, shared: bool = False) -> Iterator[None]:
    """Hold ``folder/.lock``; the system releases it however the process ends.

    Whoever holds it alone is the only one to write here, so temporary files in the folder are left by killed processes
    and are removed.

    Args:
        folder: Made if it is missing.
        rooms: Folders in it whose temporary files are removed as well.
        shared: Let others that share it in as well, and remove nothing.

    Raises:
        Busy: Another process holds it.
        UserError: It is no folder to write in.
    """
    with _lock_file(folder) as file:
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except OSError:
            raise Busy(f"{folder}: another process is at work here, expected none; wait for it.") from None
        for room in () if shared else ("", *rooms):
            for leftover in (folder / room).glob(f"{TEMPORARY}*"):
                leftover.unlink(missing_ok=True)
        yield


def _lock_file(folder: Path) -> TextIO:
    make_folder(folder)
    try:
        return (folder / ".lock").open("w")
    except OSError as error:
        raise UserError(f"{folder}: takes no file ({error.strerror}), expected a folder to write in.") from None
