"""The files of a folder of any nesting."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path


def walk_files(root: Path, *, exclude: Collection[Path] = ()) -> Iterator[Path]:
    """Files of a tree in a fixed order, without hidden ones; links to folders are not followed.

    Args:
        root: The top folder.
        exclude: Folders to be left out with all that is in them, wherever they lie.
    """
    left_out = {p.resolve() for p in exclude}
    for folder, folders, files in os.walk(root):
        here = Path(folder)
        folders[:] = sorted(f for f in folders if not f.startswith(".") and (here / f).resolve() not in left_out)
        paths = (here / name for name in sorted(files) if not name.startswith("."))
        yield from (p for p in paths if p.is_file())
