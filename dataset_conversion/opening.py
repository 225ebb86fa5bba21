"""The folder of a cohort to be converted: its settings are fixed by its first case."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reactkd_auto.errors import UserError
from reactkd_auto.jsonio import TEMPORARY, read_json, to_plain, write_json
from reactkd_auto.lock import locked
from reactkd_auto.workspace import open_workspace


def open_cohort(workspace: Path | None, name: str, number: int | None, settings: Mapping[str, Any]) -> Path:
    """Folder of a new dataset, or of the one that an interrupted call began; without a case it takes new settings.

    The settings are kept in ``conversion.json``, so that files of one conversion never meet the labels of another.

    Raises:
        UserError: Its cases were made with other settings, or with some that are not recorded, or another process is
            at work in the folder.
    """
    space = open_workspace(workspace)
    folder = space.raw_dataset(space.new_dataset_folder(name, number))
    record, wanted = folder / "conversion.json", to_plain(settings)
    if record.exists():
        _settle(folder, wanted)
    elif any(not p.name.startswith(TEMPORARY) for p in folder.glob("*")):
        raise UserError(
            f"{folder}: found files but no conversion.json, expected one that tells how they were made; give another "
            "--id, or delete the folder."
        )
    else:
        write_json(record, wanted)
    return folder


def _settle(folder: Path, wanted: dict[str, Any]) -> None:
    record = folder / "conversion.json"
    with locked(folder):
        made_with = read_json(record)
        changed = [k for k in {**made_with, **wanted} if made_with.get(k) != wanted.get(k)]
        if not changed:
            return
        if any((folder / "imagesTr").glob("[!.]*")):
            raise UserError(
                f"{folder}: asked for {_words(wanted, changed)}, expected {_words(made_with, changed)}, with which its "
                "cases were made; give another --id, or delete the folder."
            )
        write_json(record, wanted)


def _words(settings: Mapping[str, Any], names: list[str]) -> str:
    return ", ".join(f"{name} {_value(settings.get(name))}" for name in names)


def _value(value: Any) -> str:
    values = value if isinstance(value, list) else [] if value is None else [value]
    return ", ".join(map(str, values)) or "none"
