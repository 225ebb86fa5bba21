"""The header of a DICOM file, checked for being whole; its values, checked when asked for.

Headers are read with pydicom (it alone knows nested sequences such as the radiopharmaceutical's), pixels with GDCM
(see `dicom_pixels`; it decodes every common compression without plug-ins).
"""

from __future__ import annotations

import math
import os
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
from pydicom.config import IGNORE, disable_value_validation
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.uid import UID

from .faults import ImageFault

_DAMAGE = (
    AttributeError,
    BytesLengthException,
    EOFError,
    KeyError,
    NotImplementedError,
    OSError,
    TypeError,
    ValueError,
    struct.error,
)
_SMALLEST_ELEMENT_BYTES = 8
_CODE = re.compile(r"[A-Z0-9_ ]{0,16}")
_SIZE_TAGS = ("Rows", "Columns", "BitsAllocated", "SamplesPerPixel", "NumberOfFrames")


@dataclass(frozen=True)
class DicomFile:
    """A file and its header without pixels, or one item of a sequence in it."""

    path: Path
    header: pydicom.Dataset

    def value(self, keyword: str) -> Any:
        """A header value as pydicom reads it (it decodes when asked, not before); None where it is missing or empty.

        Raises:
            ImageFault: Bytes that are no such value.
        """
        try:
            with disable_value_validation():  # its warnings quote values, which may be a patient's
                return self.header.get(keyword)
        except _DAMAGE as error:
            raise damaged_header(self.path, error) from None

    def items(self, keyword: str) -> list[DicomFile]:
        """Items of a sequence; none where it is missing."""
        value = self.value(keyword)
        return [DicomFile(self.path, item) for item in value] if isinstance(value, Sequence) else []

    def text(self, keyword: str) -> str:
        """A value as text, stripped; empty where it is missing."""
        value = self.value(keyword)
        return "" if value is None else str(value).strip()

    def code(self, keyword: str) -> str:
        """A value that is one of DICOM's code words, fit to be shown; ``?`` for any other text, which may be a name."""
        text = self.text(keyword).upper()
        return text if _CODE.fullmatch(text) else "?"

    def private_text(self, creator: str, group: int, element: int) -> str:
        """A vendor's private value as text; empty where its creator or the value is missing."""
        try:
            with disable_value_validation():
                value = self.header.private_block(group, creator)[element].value
        except KeyError:
            return ""
        except _DAMAGE as error:
            raise damaged_header(self.path, error) from None
        return (value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)).strip(" \0")

    def words(self, keyword: str) -> list[str]:
        """A value of several parts, in capitals; empty where it is missing."""
        value = self.value(keyword)
        parts = value if isinstance(value, MultiValue) else [value or ""]
        return [str(p).strip().upper() for p in parts]

    def integer(self, keyword: str, default: int | None = None) -> int:
        """A whole number.

        Raises:
            ImageFault: Not a number, or missing without a default.
        """
        if default is not None and not self.text(keyword):
            return default
        return int(self.numbers(keyword, 1)[0])

    def numbers(self, keyword: str, count: int) -> list[float]:
        """A value of ``count`` finite numbers.

        Raises:
            ImageFault: Missing, of another count, or not numbers.
        """
        value = self.value(keyword)
        try:
            found = [float(v) for v in ([value] if count == 1 else value)]
        except (TypeError, ValueError):
            found = []
        if len(found) != count or not all(map(math.isfinite, found)):
            kind = "a number" if count == 1 else f"{count} numbers"
            raise ImageFault(self.path, f"no usable {keyword} in the header", f"{kind} there, as DICOM demands")
        return found


def read_header(path: Path, tags: Iterable[str] | None = None) -> DicomFile:
    """Read the header of a DICOM file.

    Args:
        path: The file.
        tags: Keywords of the elements to keep; None keeps all.

    Raises:
        ImageFault: Not DICOM, cut off, or a header that can't be parsed.
    """
    wanted = None if tags is None else [*tags, *_SIZE_TAGS]
    try:
        with path.open("rb") as stream, disable_value_validation():
            header = pydicom.dcmread(stream, stop_before_pixels=True, specific_tags=wanted)
            left = os.fstat(stream.fileno()).st_size - stream.tell()
        syntax = header.file_meta.TransferSyntaxUID
        in_place = not (syntax.is_compressed or syntax.is_deflated)
    except InvalidDicomError:
        raise ImageFault(path, "a file that is not DICOM, or is damaged in its first bytes", "DICOM") from None
    except _DAMAGE as error:
        raise damaged_header(path, error) from None
    file = DicomFile(path, header)
    if in_place and file.text("Rows"):
        _check_pixel_bytes(file, left)
    return file


def uid_name(uid: str) -> str:
    """DICOM's name of a kind of object or compression."""
    name = UID(uid, validation_mode=IGNORE).name
    return "an unknown kind" if name == uid else name


def damaged_header(path: Path, error: Exception) -> ImageFault:
    """The fault of a header that can't be parsed; what pydicom says may quote a patient, so only its kind is told."""
    found = f"a header that is cut off or damaged ({type(error).__name__})"
    return ImageFault(path, found, "a complete DICOM file; copy it again")


def _check_pixel_bytes(file: DicomFile, left: int) -> None:
    """Check that what follows the header is as long as uncompressed pixels must be."""
    values = file.integer("Rows") * file.integer("Columns") * file.integer("SamplesPerPixel", 1)
    expected = (values * file.integer("NumberOfFrames", 1) * file.integer("BitsAllocated") + 7) // 8
    found = max(0, left - _SMALLEST_ELEMENT_BYTES)
    if found < expected:
        raise ImageFault(file.path, f"{found} bytes of pixels: the file is cut off", f"{expected} bytes by its header")
