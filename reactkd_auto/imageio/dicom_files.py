"""DICOM files: which ones lie in a folder, and the header of one, checked for being whole.

Headers are read with pydicom (it alone knows nested sequences such as the radiopharmaceutical's), pixels with GDCM
(see `dicom_pixels`; it decodes every common compression without plug-ins).
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
from pydicom.config import disable_value_validation
from pydicom.errors import BytesLengthException, InvalidDicomError

from .faults import ImageFault

DICOM_SUFFIXES = (".dcm", ".ima")
_DAMAGE = (EOFError, OSError, ValueError, KeyError, AttributeError, NotImplementedError, struct.error)
_MAGIC_OFFSET = 128
_SMALLEST_ELEMENT_BYTES = 8
_TEXT_SAMPLE_BYTES = 1024
_SIZE_TAGS = ("Rows", "Columns", "BitsAllocated", "SamplesPerPixel", "NumberOfFrames")


@dataclass(frozen=True)
class DicomFile:
    """A file and its header without pixels, or one item of a sequence in it."""

    path: Path
    header: pydicom.Dataset

    def text(self, keyword: str) -> str:
        """A header value as text, stripped; empty where it is missing."""
        value = self.header.get(keyword)
        return "" if value is None else str(value).strip()

    def words(self, keyword: str) -> list[str]:
        """A header value of several parts, in capitals; empty where it is missing."""
        value = self.header.get(keyword)
        parts = [value] if isinstance(value, str) else list(value or [])
        return [str(p).strip().upper() for p in parts]

    def integer(self, keyword: str) -> int:
        """A whole number of the header.

        Raises:
            ImageFault: Missing or not a number.
        """
        return int(self.numbers(keyword, 1)[0])

    def numbers(self, keyword: str, count: int) -> list[float]:
        """A header value of ``count`` finite numbers.

        Raises:
            ImageFault: Missing, of another count, or not numbers.
        """
        value: Any = self.header.get(keyword)
        try:
            found = [float(v) for v in ([value] if count == 1 else value)]
        except (TypeError, ValueError):
            found = []
        if len(found) != count or not all(map(math.isfinite, found)):
            kind = "a number" if count == 1 else f"{count} numbers"
            raise ImageFault(self.path, f"no usable {keyword} in the header", f"{kind} there, as DICOM demands")
        return found


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


def walk_dicom(root: Path) -> Iterator[Path]:
    """The same for a whole tree, in a fixed order; hidden folders and links to folders are not followed."""
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        paths = (Path(folder) / name for name in sorted(files))
        yield from (p for p in paths if p.is_file() and is_dicom_or_damaged(p))


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


def read_header(path: Path, tags: Sequence[str] | None = None) -> DicomFile:
    """Read the header of a DICOM file.

    Args:
        path: The file.
        tags: Keywords of the elements to keep; None keeps all.

    Raises:
        ImageFault: Not DICOM, cut off, or a header that can't be parsed.
    """
    try:
        with path.open("rb") as file, disable_value_validation():
            wanted = None if tags is None else [*tags, *_SIZE_TAGS]
            header = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=wanted)
            left = os.fstat(file.fileno()).st_size - file.tell()
        expected = _pixel_bytes(header)
    except InvalidDicomError:
        raise ImageFault(path, "a file that is not DICOM, or is damaged in its first bytes", "DICOM") from None
    except (*_DAMAGE, BytesLengthException) as error:
        found = f"a header that is cut off or damaged ({type(error).__name__})"
        raise ImageFault(path, found, "a complete DICOM file; copy it again") from None
    if expected is not None and left < expected:
        found = f"{max(0, left - _SMALLEST_ELEMENT_BYTES)} bytes of pixels: the file is cut off"
        raise ImageFault(path, found, f"{expected - _SMALLEST_ELEMENT_BYTES} bytes by its header")
    return DicomFile(path, header)


def _pixel_bytes(header: pydicom.Dataset) -> int | None:
    """Smallest size of the pixel element; None where there are no pixels or their size can't be told beforehand."""
    syntax = header.file_meta.TransferSyntaxUID
    if "Rows" not in header or syntax.is_compressed or syntax.is_deflated:
        return None
    values = int(header.Rows) * int(header.Columns) * int(header.get("SamplesPerPixel", 1) or 1)
    bits = values * int(header.get("NumberOfFrames", 1) or 1) * int(header.BitsAllocated)
    return _SMALLEST_ELEMENT_BYTES + (bits + 7) // 8
