"""The folder of a cohort to be converted: its settings are fixed by its first case."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reactkd_auto.dataset_conversion.copying import open_dataset
from reactkd_auto.errors import UserError
from reactkd_auto.jsonio import read_json, to_plain, write_json
from reactkd_auto.lock import locked
from reactkd_auto.workspace import open_workspace


def open_cohort(workspace: Path | None, name: str, number: int | None, settings: Mapping[str, Any]) -> Path:
    """`open_dataset`, but a folder without a case takes new settings.

    Raises:
        UserError: Cases were made with other settings, or another process is at work in the folder.
    """
    space = open_workspace(workspace)
    folder = space.raw_dataset(space.new_dataset_folder(name, number))
    if (folder / "conversion.json").exists():
        _settle(folder, to_plain(settings))
    return open_dataset(workspace, name, number, settings)


def _settle(folder: Path, wanted: dict[str, Any]) -> None:
    record = folder / "conversion.json"
    with locked(folder):
        made_with = read_json(record)
        changed = [k for k in {**made_with, **wanted} if made_with.get(k) != wanted.get(k)]
        if changed and any((folder / "imagesTr").glob("[!.]*")):
            raise UserError(
                f"{folder}: asked for {_words(wanted, changed)}, expected {_words(made_with, changed)}, with which its "
                "cases were made; give another --id, or delete the folder."
            )
        write_json(record, wanted)


def _words(settings: Mapping[str, Any], names: list[str]) -> str:
    return ", ".join(f"{name} {_value(settings.get(name))}" for name in names)


def _value(value: Any) -> str:
    return ", ".join(map(str, value if isinstance(value, list) else [value])) if value else "none"
