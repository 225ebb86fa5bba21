"""What every converter does: open a dataset folder, copy images into it once, close it with its documents."""

from __future__ import annotations

import argparse
import gzip
import logging
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from reactkd_auto.commandline import add_workspace_option, new_parser
from reactkd_auto.dataset import Dataset, LabelledCase, check_safe_name, write_dataset, write_labels
from reactkd_auto.errors import UserError
from reactkd_auto.jsonio import TEMPORARY, atomic_path, read_json, to_plain, write_json
from reactkd_auto.workspace import open_workspace

logger = logging.getLogger(__name__)


def converter_parser(program: str, description: str) -> argparse.ArgumentParser:
    """A parser with the options that converters share: ``-i``, ``-w``, ``--id``, ``--quiet``."""
    parser = new_parser(program, description)
    parser.add_argument("-i", "--input", type=Path, required=True, metavar="SOURCE", help="what to convert")
    add_target_options(parser)
    return parser


def add_target_options(parser: argparse.ArgumentParser) -> None:
    """``-w``, ``--id`` and ``--quiet``."""
    add_workspace_option(parser)
    parser.add_argument("--id", type=int, metavar="N", help="dataset number 1…999; default: the next free one")
    parser.add_argument("--quiet", action="store_true", help="no progress bars, warnings only")


def open_dataset(workspace: Path | None, name: str, number: int | None, settings: Mapping[str, Any]) -> Path:
    """Folder of a new dataset, or of the one that an interrupted call with the same settings began.

    The settings are kept in ``conversion.json``, so that files of one conversion never meet the labels of another.

    Raises:
        UserError: The folder exists and was made with other settings.
    """
    space = open_workspace(workspace)
    folder = space.raw_dataset(space.new_dataset_folder(name, number))
    record = folder / "conversion.json"
    wanted = to_plain(settings)
    if not any(not p.name.startswith(TEMPORARY) for p in folder.glob("*")):
        write_json(record, wanted)
    found = read_json(record) if record.exists() else None
    if found != wanted:
        raise UserError(
            f"{folder}: made with {_words(found)}, expected {_words(wanted)}; give another --id, or delete the folder."
        )
    return folder


def _words(settings: Mapping[str, Any] | None) -> str:
    return ", ".join(f"{k} {v}" for k, v in settings.items()) if settings else "settings that are not recorded"


def copy_once(source: Path, target: Path) -> None:
    """Copy a file byte by byte unless the target is already there; the target appears whole or not at all.

    Where only the target's name ends in ``.gz`` the bytes are compressed, always to the same file.

    Raises:
        UserError: The source is missing or the target cannot be written.
    """
    if target.exists():
        return
    if not source.is_file():
        raise UserError(f"{source}: no such file, expected an image of the source dataset.")
    with atomic_path(target) as temporary:
        if target.suffix == ".gz" and source.suffix != ".gz":
            _compress(source, temporary)
        else:
            shutil.copyfile(source, temporary)


def _compress(source: Path, target: Path) -> None:
    with (
        source.open("rb") as plain,
        target.open("wb") as file,
        gzip.GzipFile("", "wb", compresslevel=6, fileobj=file, mtime=0) as packed,
    ):
        shutil.copyfileobj(plain, packed)


def close_dataset(folder: Path, dataset: Dataset, training: Iterable[LabelledCase]) -> Path:
    """Write labels and, last of all, ``dataset.json``: a dataset that has it was converted wholly."""
    training = list(training)
    write_labels(folder / "labelsTr.csv", training, dataset.classes)
    write_dataset(folder, dataset)
    counts = [f"{sum(c.label == i for c in training)} {name}" for i, name in enumerate(dataset.classes)]
    ungraded = sum(c.label is None for c in training)
    patients = len({c.patient for c in training})
    logger.info(
        "%s: %d cases of %d patients (%s, %d ungraded)",
        folder,
        len(training),
        patients,
        ", ".join(counts),
        ungraded,
    )
    return folder


def safe_case(table: Path, case: str) -> str:
    """The case name, checked to be a harmless file name.

    Raises:
        UserError: It is not; the message names the table it came from.
    """
    try:
        check_safe_name(case, "case")
    except ValueError as error:
        raise UserError(f"{table}: {error}.") from None
    return case
