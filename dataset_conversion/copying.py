"""What every converter does: copy images into a dataset folder once, close it with its documents."""

from __future__ import annotations

import argparse
import gzip
import logging
import shutil
from collections.abc import Iterable
from pathlib import Path

from reactkd_auto.commandline import add_workspace_option, new_parser
from reactkd_auto.dataset import Dataset, LabelledCase, check_safe_name, write_dataset, write_labels
from reactkd_auto.errors import UserError
from reactkd_auto.jsonio import atomic_path

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
