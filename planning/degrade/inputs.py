"""Which CTs lie at the place given."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from reactkd_auto.dataset import SAFE_CHARACTERS
from reactkd_auto.errors import UserError
from reactkd_auto.imageio.dicom_files import dicom_paths
from reactkd_auto.imageio.reading import FORMATS, image_format


@dataclass(frozen=True)
class InputCt:
    """A CT to be degraded: its name in the outputs, and its file or folder of DICOM slices."""

    case: str
    path: Path


def find_cts(given: Path) -> list[InputCt]:
    """The CT of a file or of a folder of DICOM slices, or the CTs (both kinds) of a folder, sorted by name.

    Raises:
        UserError: Nothing there, no CT in it, an unknown file ending, or two CTs of one name.
    """
    if not given.exists():
        raise UserError(f"{given}: no such file or folder, expected a CT or a folder of CTs.")
    if given.is_file():
        image_format(given)
        return [InputCt(_name(given), given)]
    paths = [p for p in sorted(given.iterdir()) if not p.name.startswith(".") and _is_ct(p)]
    if not paths and dicom_paths(given):
        return [InputCt(_name(given.resolve()), given)]
    if not paths:
        raise UserError(
            f"{given}: no CT found in the folder, expected files ending in {', '.join(FORMATS)}, DICOM slices, or"
            " folders of DICOM slices."
        )
    found: dict[str, Path] = {}
    for path in paths:
        if other := found.get(_name(path)):
            raise UserError(f"{path}: {other.name} would have the same name, {_name(path)}, expected different ones.")
        found[_name(path)] = path
    return [InputCt(name, path) for name, path in found.items()]


def content_of(path: Path) -> str:
    """SHA-256 of a file, or of the files of a folder.

    Raises:
        UserError: Something cannot be read.
    """
    digest = hashlib.sha256()
    for part in dicom_paths(path) if path.is_dir() else [path]:
        try:
            with part.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            raise UserError(f"{part}: could not be read ({error.strerror}).") from None
    return digest.hexdigest()


def _is_ct(path: Path) -> bool:
    return bool(dicom_paths(path)) if path.is_dir() else path.name.lower().endswith(tuple(FORMATS))


def _name(path: Path) -> str:
    """The name without a file's ending; letters that may trouble file systems become ``_``."""
    lower = path.name.lower()
    ending = next((e for e in FORMATS if lower.endswith(e)), "")
    stem = path.name[: len(path.name) - len(ending)].lstrip(".")
    return "".join(c if c in SAFE_CHARACTERS else "_" for c in stem) or "ct"
