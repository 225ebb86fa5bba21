"""Where everything lies: the workspace folder and the dataset folders inside it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from .errors import UserError

_DATASET_FOLDER = re.compile(r"Dataset(\d{3})_(.+)")


@dataclass(frozen=True)
class Workspace:
    """``<root>/raw``, ``<root>/preprocessed`` and ``<root>/results``."""

    root: Path

    @property
    def raw(self) -> Path:
        """Raw datasets."""
        return self.root / "raw"

    def raw_dataset(self, folder: str) -> Path:
        """``raw/Dataset001_NAME``."""
        return self.raw / folder

    def preprocessed(self, folder: str) -> Path:
        """``preprocessed/Dataset001_NAME``."""
        return self.root / "preprocessed" / folder

    def results(self, folder: str, plan_name: str) -> Path:
        """``results/Dataset001_NAME/PLAN_NAME``."""
        return self.root / "results" / folder / plan_name

    def dataset_folders(self) -> list[str]:
        """Names of all dataset folders, raw or preprocessed, sorted."""
        found = {
            p.name
            for room in (self.raw, self.root / "preprocessed")
            if room.is_dir()
            for p in room.iterdir()
            if p.is_dir() and _DATASET_FOLDER.fullmatch(p.name)
        }
        return sorted(found)

    def find_dataset(self, wanted: str | None) -> str:
        """Folder name of the dataset with this id (``1``, ``001``), name or folder name; None means the only one.

        Raises:
            UserError: None or several fit.
        """
        folders = self.dataset_folders()
        if not folders:
            raise UserError(f"{self.root}: no datasets found, expected {self.raw}/Dataset001_NAME; convert one first.")
        fitting = [f for f in folders if wanted is None or _matches(f, wanted)]
        if len(fitting) == 1:
            return fitting[0]
        found = "no dataset" if not fitting else f"{len(fitting)} datasets"
        what = f"fit {wanted!r}" if wanted is not None else "could be meant"
        raise UserError(f"{self.root}: {found} {what}, expected one; name one with -d out of {', '.join(folders)}.")

    def new_dataset_folder(self, name: str, number: int | None) -> str:
        """Folder name for a new dataset: the given number, or the next free one.

        Raises:
            UserError: The number is taken by a dataset of another name, or is not in 1…999.
        """
        taken = {int(m.group(1)): f for f in self.dataset_folders() if (m := _DATASET_FOLDER.fullmatch(f))}
        same = [f for f in taken.values() if f.endswith(f"_{name}")]
        if number is None:
            if same:
                return same[0]
            number = max(taken, default=0) + 1
        if not 1 <= number <= 999:
            raise UserError(f"dataset number {number}: expected 1…999.")
        folder = f"Dataset{number:03d}_{name}"
        if taken.get(number, folder) != folder:
            raise UserError(f"{self.root}: number {number} is taken by {taken[number]}, expected a free one.")
        return folder


def open_workspace(path: Path | str | None) -> Workspace:
    """The workspace of ``-w``, else ``$REACTKD_WORKSPACE``, else ``./reactkd_workspace``."""
    return Workspace(Path(path or os.environ.get("REACTKD_WORKSPACE") or "reactkd_workspace"))


def _matches(folder: str, wanted: str) -> bool:
    match = _DATASET_FOLDER.fullmatch(folder)
    assert match is not None
    number, name = match.groups()
    return wanted in (folder, name) or (wanted.isdigit() and int(wanted) == int(number))
