"""Which files of a folder or a tree are DICOM, or should be."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from .walking import walk_files

DICOM_SUFFIXES = (".dcm", ".ima")
_MAGIC_OFFSET = 128
_TEXT_SAMPLE_BYTES = 1024


def has_dicom_preamble(path: Path) -> bool:
    """Whether a file begins as DICOM files do (128 bytes, then ``DICM``); False for what can't be read."""
    try:
        with path.open("rb") as file:
            return file.read(_MAGIC_OFFSET + 4)[_MAGIC_OFFSET:] == b"DICM"
    except OSError:
        return False


def dicom_paths(folder: Path) -> list[Path]:
    """Files directly in a folder that are DICOM, or should be (see `is_dicom_or_damaged`), sorted."""
    return [p for p in sorted(folder.iterdir()) if p.is_file() and is_dicom_or_damaged(p)]


def walk_dicom(root: Path, *, exclude: Collection[Path] = ()) -> Iterator[Path]:
    """The same for a whole tree, see `walk_files`."""
    return (p for p in walk_files(root, exclude=exclude) if is_dicom_or_damaged(p))


def is_dicom_or_damaged(path: Path) -> bool:
    """Whether a file is DICOM, or has the name of one (``.dcm``, ``.ima``), or is binary and has no ending.

    Hidden files, the index of a medium (DICOMDIR) and texts (licences, tables) are neither.
    """
    if path.name.startswith(".") or path.name.upper() == "DICOMDIR":
        return False
    if has_dicom_preamble(path) or path.suffix.lower() in DICOM_SUFFIXES:
        return True
    return not path.suffix and _is_binary(path)


def _is_binary(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            start = file.read(_TEXT_SAMPLE_BYTES)
    except OSError:  # reading the header will say why
        return True
    return not start or b"\0" in start
